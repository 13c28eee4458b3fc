use super::*;

/// A folder of its own for a test, removed at the end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wfdb-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }
    fn write(&self, name: &str, bytes: &[u8]) -> std::path::PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn header(text: &str) -> Header {
    parse_header(text).expect("a header")
}

#[test]
fn a_record_of_the_arrhythmia_database_is_read() {
    let folder = Folder::new("212");
    let text = "r 2 360 4\nr.dat 212 200 11 1024 995 0 0 MLII\nr.dat 212 200(1000)/uV 11 1024 0 0 0 V1\n# 69 M\n";
    let path = folder.write("r.hea", text.as_bytes());
    // 1224 and 800; -2048 (not valid) and 1024; 2047 and -1; 1024 and 1200.
    let bytes = [
        0xc8, 0x34, 0x20, 0x00, 0x48, 0x00, 0xff, 0xf7, 0xff, 0x00, 0x44, 0xb0,
    ];
    folder.write("r.dat", &bytes);
    let recording = Recording::open(&path).expect("read");
    assert_eq!(recording.problems, Vec::<String>::new());
    assert_eq!(recording.name, "r");
    let [first, second] = &recording.signals[..] else {
        panic!("two signals")
    };
    assert_eq!(
        (&*first.name, &*first.unit, first.rate_hz),
        ("MLII", "mV", 360.0)
    );
    assert_eq!((&*second.name, &*second.unit), ("V1", "uV"));
    assert!(first.samples[1].is_nan());
    assert_eq!(
        [first.samples[0], first.samples[2], first.samples[3]],
        [1.0, 5.115, 0.0]
    );
    assert_eq!(second.samples, [-1.0, 0.12, -5.005, 1.0]);
    assert!(first.is_ecg() && !first.is_pleth());
    assert_eq!(recording.duration_s(), 4.0 / 360.0);
    // Without the ending the header is meant.
    assert_eq!(
        Recording::open(&folder.0.join("r"))
            .expect("read")
            .signals
            .len(),
        2
    );
}

#[test]
fn a_record_that_is_cut_short_is_read_as_far_as_it_goes() {
    let spec = header("r 2 360 4\nr.dat 212 200\nr.dat 212 200\n");
    let bytes = [0xc8, 0x34, 0x20, 0x00, 0x48, 0x00, 0xff];
    let (signals, problems) = decode_file(&spec, &spec.signals, &bytes);
    assert_eq!(signals[0].samples.len(), 2);
    assert_eq!(problems, ["r.dat: cut short: 2 of 4 frames are there"]);
    // No length in the header: all there is, and nothing to complain about.
    let spec = header("r 2 360\nr.dat 212 200\nr.dat 212 200\n");
    let (signals, problems) = decode_file(&spec, &spec.signals, &bytes);
    assert_eq!((signals[1].samples.len(), problems.len()), (2, 0));
    // A missing file, a header without its last line.
    let folder = Folder::new("cut");
    let path = folder.write("r.hea", b"r 3 360\na.dat 16 200\nb.dat 16 200\n");
    folder.write("a.dat", &[1, 0, 2, 0]);
    let recording = Recording::open(&path).expect("read");
    assert_eq!((recording.signals.len(), recording.problems.len()), (1, 2));
    std::fs::remove_file(folder.0.join("a.dat")).expect("removed");
    assert!(matches!(Recording::open(&path), Err(Error::NoSignals(_))));
}

#[test]
fn formats_give_the_same_numbers() {
    let values = [0_i32, 100, -100, 127, -127];
    let file = |format: u16| -> Vec<u8> {
        let wide = |v: i32| match format {
            16 => (v as i16).to_le_bytes().to_vec(),
            61 => (v as i16).to_be_bytes().to_vec(),
            160 => ((v + 0x8000) as u16).to_le_bytes().to_vec(),
            80 => vec![(v + 0x80) as u8],
            24 => v.to_le_bytes()[..3].to_vec(),
            _ => v.to_le_bytes().to_vec(),
        };
        values.iter().flat_map(|v| wide(*v)).collect()
    };
    for format in [16, 61, 160, 80, 24, 32] {
        let spec = header(&format!("r 1 100\nr.dat {format} 1/x\n"));
        let (signals, problems) = decode_file(&spec, &spec.signals, &file(format));
        assert_eq!(problems, Vec::<String>::new());
        let samples: Vec<i32> = signals[0].samples.iter().map(|s| *s as i32).collect();
        assert_eq!(samples, values, "format {format}");
    }
}

#[test]
fn frames_skew_and_offset_are_respected() {
    let spec = header("r 2 100/3(5) 2\nr.dat 16x2:1+4 1\nr.dat 16+4 1\n");
    // Four bytes before; frames of (a, a, b): three of them.
    let values: [i16; 11] = [9, 9, 1, 2, 10, 3, 4, 20, 5, 6, 30];
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let (signals, problems) = decode_file(&spec, &spec.signals, &bytes);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!((signals[0].rate_hz, signals[1].rate_hz), (200.0, 100.0));
    assert_eq!(signals[0].samples, [3.0, 4.0, 5.0, 6.0]);
    assert_eq!(signals[1].samples, [10.0, 20.0]);
}

#[test]
fn headers_that_make_no_sense_are_refused_with_the_line() {
    let line = |text: &str| match parse_header(text) {
        Err(Error::Malformed(line, _)) => line,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(line(""), 1);
    assert_eq!(line("# only a remark\n\nr two"), 3);
    assert_eq!(line("r 1 0\nr.dat 16"), 1);
    assert_eq!(line("r 1 inf\nr.dat 16"), 1);
    assert_eq!(line("r 65 100"), 1);
    assert_eq!(line("r 1 100 many"), 1);
    assert_eq!(line("r 1 100\n../../etc/passwd 16"), 2);
    assert_eq!(line("r 1 100\nr.dat sixteen"), 2);
    assert_eq!(line("r 1 100\nr.dat 16x0"), 2);
    assert!(matches!(
        parse_header("r/3 2 100"),
        Err(Error::Unsupported(_))
    ));
    let unknown = header("r 1 100\nr.dat 516 1");
    let (signals, problems) = decode_file(&unknown, &unknown.signals, &[0; 10]);
    assert!(signals.is_empty());
    assert_eq!(problems, ["r.dat: format 516 is not supported"]);
}

#[test]
fn a_gain_of_zero_means_the_default() {
    let h =
        header("r 4 360\nr.dat 16 0 12 0\nr.dat 16\nr.dat 16 50(-3)/mmHg 0 7\nr.dat 16 50/% 0 7");
    let gains: Vec<_> = h
        .signals
        .iter()
        .map(|s| (s.gain, s.baseline, &*s.unit))
        .collect();
    assert_eq!(
        gains,
        [
            (200.0, 0.0, "mV"),
            (200.0, 0.0, "mV"),
            (50.0, -3.0, "mmHg"),
            (50.0, 7.0, "%")
        ]
    );
}

#[test]
fn tables_are_read() {
    let bidmc =
        "Time [s], PLETH, II\n0,0.4,0.7\n0.008,0.3,-\n0.016,0.25,0.6\n0.04,0.2,0.5\n0.048,0.2";
    let recording = parse_csv("bidmc", bidmc).expect("read");
    let [pleth, ecg] = &recording.signals[..] else {
        panic!("two signals")
    };
    assert!((pleth.rate_hz - 125.0).abs() < 1e-6, "{}", pleth.rate_hz);
    assert_eq!((&*pleth.name, pleth.samples.len()), ("PLETH", 7));
    assert!(pleth.is_pleth() && ecg.is_ecg() && ecg.name == "II");
    // Two rows are missing before the fourth; a value was not there; the last row is cut short.
    let valid: Vec<bool> = ecg.samples.iter().map(|s| s.is_finite()).collect();
    assert_eq!(valid, [true, false, true, false, false, true, false]);
    assert_eq!(recording.problems.len(), 2, "{:?}", recording.problems);
    let converted = "'Elapsed time','MLII','V1'\n'mm:ss.mmm','mV','mV'\n'59:59.998',-0.145,-0.065\n'1:00:00.000',1,2\n";
    let recording = parse_csv("r", converted).expect("read");
    assert_eq!(
        (&*recording.signals[1].unit, recording.signals[1].samples[1]),
        ("mV", 2.0)
    );
    assert!((recording.signals[0].rate_hz - 500.0).abs() < 1e-6);
    assert_eq!(recording.problems, Vec::<String>::new());
}

#[test]
fn tables_without_sense_are_refused() {
    assert!(matches!(parse_csv("r", ""), Err(Error::Malformed(1, _))));
    assert!(matches!(
        parse_csv("r", "a,b\n1,2\n"),
        Err(Error::Malformed(1, _))
    ));
    assert!(matches!(
        parse_csv("r", "time\n1\n"),
        Err(Error::Malformed(1, _))
    ));
    assert!(matches!(
        parse_csv("r", "time,b\n1,2\n"),
        Err(Error::NoSignals(_))
    ));
    assert!(matches!(
        parse_csv("r", "time,b\n1,2\n1,3\n"),
        Err(Error::NoSignals(_))
    ));
    assert!(matches!(
        parse_csv("r", "time,b\n0,2\n1e-9,3\n"),
        Err(Error::NoSignals(_))
    ));
    // A strange time does not fill the memory.
    let recording = parse_csv("r", "time,b\n0,2\n1,3\n1e9,3\n").expect("read");
    assert!(recording.signals[0].samples.len() < 20_000);
}

/// An annotation file: beats at 18 and 5000, a rhythm text, attributes.
fn annotation_file() -> Vec<u8> {
    let word = |code: u16, value: u16| (code << 10 | value).to_le_bytes();
    let mut bytes = Vec::new();
    for (code, value) in [(28, 18), (63, 3)] {
        bytes.extend(word(code, value));
    }
    bytes.extend(b"(N\0\0");
    for (code, value) in [(1, 0), (60, 3), (61, 1), (62, 1), (59, 0)] {
        bytes.extend(word(code, value));
    }
    bytes.extend([0, 0, 0x76, 0x13]); // 4982, high word first
    bytes.extend(word(5, 0));
    bytes.extend([0, 0]);
    bytes
}

#[test]
fn annotations_are_read_whole_and_in_part() {
    let bytes = annotation_file();
    let (found, problems) = parse_annotations(&bytes);
    let expected = [(18, 28), (18, 1), (5000, 5)];
    let expected = expected.map(|(sample, code)| Annotation { sample, code });
    assert_eq!(found, expected);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(found.iter().filter(|a| a.is_beat()).count(), 2);
    for length in 0..bytes.len() {
        let (part, problems) = parse_annotations(&bytes[..length]);
        assert!(expected.starts_with(&part), "{length}");
        assert_eq!(problems.len(), 1, "{length}");
    }
}

#[test]
fn any_bytes_never_panic() {
    let mut seed = 7_u64;
    let mut random = move |limit: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % limit.max(1)
    };
    let texts = [
        "r 2 360/3(5) 4\nr.dat 212x2:1+4 200(10)/mV 11 1024 995 0 0 MLII\nr.dat 212 0\n",
        "Time [s], PLETH, II\n0,0.4,0.7\n0.008,0.3,-\n0.016,0.25,0.6\n1:0.04,0.2,0.5\n",
    ];
    for round in 0..20_000 {
        let mut bytes = texts[round % 2].as_bytes().to_vec();
        for _ in 0..1 + random(4) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes[at] = random(256) as u8,
                1 => bytes.truncate(at + 1),
                _ => bytes.insert(at, b"0123456789.,:()/+x-\n\xc3"[random(21)]),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        let _ = parse_csv("r", &text);
        if let Ok(header) = parse_header(&text) {
            let data: Vec<u8> = (0..random(60)).map(|_| random(256) as u8).collect();
            let (signals, _) = decode_file(&header, &header.signals, &data);
            // No more samples than there are bytes for.
            let samples: usize = signals.iter().map(|s| s.samples.len()).sum();
            assert!(samples <= data.len());
        }
        let mut file = annotation_file();
        let at = random(file.len());
        file[at] = random(256) as u8;
        let _ = parse_annotations(&file[..random(file.len() + 1)]);
    }
}
