//! Recordings from outside: WFDB headers, samples and annotations, and tables of text.

use ::wfdb::{decode_file, parse_annotations, parse_csv, parse_header};

/// Gives `data` to each of the readers; up to the first zero byte it is a header, after it the samples.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = parse_csv("r", &text);
    let (found, problems) = parse_annotations(data);
    assert!(found.len() <= data.len() / 2 && problems.len() <= 2);
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let header = parts.next().unwrap_or_default();
    let samples = parts.next().unwrap_or_default();
    if let Ok(header) = parse_header(&String::from_utf8_lossy(header)) {
        let (signals, _) = decode_file(&header, &header.signals, samples);
        let count: usize = signals.iter().map(|signal| signal.samples.len()).sum();
        // No sample without a byte of its own.
        assert!(count <= samples.len());
    }
}

/// A record of two signals, one of skewed frames, annotations, and two tables.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let samples: Vec<u8> = (0..=255).collect();
    let record = |header: &str| [header.as_bytes(), &[0], &samples[..]].concat();
    vec![
        record("r 2 360 60\nr.dat 212 200 11 1024 995 0 0 MLII\nr.dat 212 200 11 1024 0 0 0 V1\n"),
        record("r 2 100/3(5) 20\nr.dat 16x2:1+4 12.5(-3)/mmHg 12 0\nr.dat 16+4\n# a remark\n"),
        vec![
            0x12, 0x70, 0x03, 0xfc, b'(', b'N', 0, 0, 0x00, 0x04, 0x00, 0xec, 0, 0, 0x76, 0x13,
            0x00, 0x14, 0, 0,
        ],
        b"Time [s], PLETH, II\n0,0.4,0.7\n0.008,0.3,-\n0.016,0.25,0.6\n".to_vec(),
        b"'Elapsed time','MLII'\n'mm:ss.mmm','mV'\n'0:00.000',-0.145\n'0:00.003',1\n".to_vec(),
    ]
}
