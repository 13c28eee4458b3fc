//! The whole recipe on packages made here: same bytes every time, other bytes for any change.

use guest_image::{Images, Inputs, build};
use sha2::{Digest as _, Sha256};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    /// Tests run at once in one process: each gets a folder of its own.
    fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let path = std::env::temp_dir().join(format!("lazaret-{name}-{process}-{number}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("folder");
        Self(path)
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        fs::write(path, content).expect("written");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes a package of `files`, puts it into the cache, and gives its entry in the lock file.
fn package(folder: &Folder, name: &str, files: &[(String, Vec<u8>)]) -> String {
    let tree = format!("packages/{name}");
    folder.write(
        &format!("{tree}/DEBIAN/control"),
        format!("Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: test\n"),
    );
    for (path, content) in files {
        folder.write(&format!("{tree}/{path}"), content);
    }
    let made = folder.0.join(format!("{name}.deb"));
    let run = Command::new("dpkg-deb")
        .args(["--build", "-Znone"])
        .arg(folder.0.join(&tree))
        .arg(&made)
        .output();
    let run = run.expect("dpkg-deb");
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let bytes = fs::read(&made).expect("package");
    let sha256: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    folder.write(&format!("cache/debian/{sha256}.deb"), &bytes);
    format!(
        "[[package]]\nname = \"{name}\"\nversion = \"1\"\narchitecture = \"all\"\nsource = \"{name}\"\nsource_version = \"1\"\n\
         archive = \"debian\"\nfile = \"pool/{name}.deb\"\nbytes = {}\nsha256 = \"{sha256}\"\n",
        bytes.len()
    )
}

/// A recipe with its packages, small but whole.
fn recipe() -> Folder {
    let folder = Folder::new("guest-recipe");
    let mut kernel = vec![0; 4096];
    kernel[56..60].copy_from_slice(b"ARM\x64");
    let module = |name: &str, needs: &str| {
        let text = format!("\x7fELF {name}\0depends={needs}\0").into_bytes();
        (format!("lib/modules/1-test/kernel/{name}.ko"), text)
    };
    let kernel = [
        ("boot/vmlinuz-1-test".to_owned(), kernel),
        module("erofs", "crc"),
        module("crc", ""),
    ];
    let busybox = [("bin/busybox".to_owned(), b"\x7fELF busybox".to_vec())];
    let mut lock = "resolved = \"20260101T000000Z\"\nkernel = \"1-test\"\n".to_owned();
    lock.push_str(&package(&folder, "linux-image-1-test", &kernel));
    lock.push_str(&package(&folder, "busybox-static", &busybox));
    folder.write("recipe/packages.lock", lock);
    folder.write(
        "recipe/recipe.toml",
        "suite = \"s\"\narchitecture = \"arm64\"\nsnapshots = \"file:///none\"\n\
         [kernel]\nnewest = \"n\"\nmodules = [\"erofs\"]\n\
         [[take]]\npackage = \"busybox-static\"\nfrom = \"bin/busybox\"\ninitramfs = \"bin/busybox\"\nroot = \"bin/busybox\"\n\
         [initramfs]\napplets = [\"sh\"]\n\
         [root]\napplets = [\"sh\", \"init\"]\ndirectories = [\"dev\", \"proc\"]\nuuid = \"6c617a61-7265-4074-8000-677565737431\"\n",
    );
    folder.write("recipe/initramfs/init", "#!/bin/sh\n");
    folder.write("recipe/root/etc/inittab", "::sysinit:/etc/init.d/boot\n");
    folder.write("recipe/root/etc/shadow", "root:*:\n");
    folder.write("recipe/root/etc/init.d/boot", "#!/bin/sh\necho up\n");
    folder.write("forwarder", "\x7fELF forwarder");
    folder.write("counter", "\x7fELF counter");
    folder
}

fn inputs(folder: &Path, work: &str) -> Inputs {
    Inputs {
        recipe: folder.join("recipe"),
        cache: folder.join("cache"),
        work: folder.join(work),
        forwarder: folder.join("forwarder"),
        counter: folder.join("counter"),
    }
}

fn built(folder: &Folder, work: &str) -> Images {
    build(&inputs(&folder.0, work), &|_| ()).expect("built")
}

#[test]
fn two_builds_give_the_same_bytes_and_a_change_gives_others() {
    let folder = recipe();
    let first = built(&folder, "work-one");
    assert_eq!(first.kernel.len(), 4096);
    assert_eq!(first.kernel_version, "1");
    assert!(!first.root.is_empty() && !first.initramfs.is_empty());
    // Dates and rights of the checkout are not what is built.
    let script = folder.0.join("recipe/root/etc/init.d/boot");
    fs::set_permissions(&script, Permissions::from_mode(0o700)).expect("mode");
    fs::write(&script, "#!/bin/sh\necho up\n").expect("a new date");
    assert!(first == built(&folder, "elsewhere/work-two"));
    assert!(
        first == built(&folder, "work-one"),
        "a second build in the same place"
    );
    // Any change shows in the image and in its version.
    folder.write("recipe/root/etc/init.d/boot", "#!/bin/sh\necho Up\n");
    let changed = built(&folder, "work-one");
    assert!(changed.root != first.root && changed.root_version != first.root_version);
    assert!(changed.initramfs == first.initramfs && changed.kernel == first.kernel);
}

#[test]
fn what_is_in_the_guest_is_listed_with_its_origin() {
    let folder = recipe();
    let contents = built(&folder, "work").contents;
    let files = |name: &str| {
        let content = contents.iter().find(|content| content.name == name);
        content
            .unwrap_or_else(|| panic!("{name} is not listed"))
            .files
            .join(" ")
    };
    assert_eq!(
        files("linux-image-1-test"),
        "initramfs:modules/crc.ko initramfs:modules/erofs.ko kernel:boot/vmlinuz-1-test"
    );
    assert_eq!(
        files("busybox-static"),
        "initramfs:bin/busybox root:bin/busybox"
    );
    assert_eq!(files("forwarder"), "root:usr/bin/forwarder");
}

#[test]
fn what_is_missing_or_not_a_kernel_is_said() {
    let folder = recipe();
    let refusal = |from: &str, to: &str| {
        let path = folder.0.join("recipe/recipe.toml");
        let good = fs::read_to_string(&path).expect("recipe");
        fs::write(&path, good.replace(from, to)).expect("written");
        let error = build(&inputs(&folder.0, "work"), &|_| ()).expect_err("must be refused");
        fs::write(&path, good).expect("written");
        format!("{error:#}")
    };
    let said = refusal("modules = [\"erofs\"]", "modules = [\"erofs\", \"absent\"]");
    assert!(said.contains("absent"), "{said}");
    let said = refusal("from = \"bin/busybox\"", "from = \"bin/toybox\"");
    assert!(said.contains("bin/toybox"), "{said}");
    let said = refusal("suite = \"s\"", "suite = \"s\"\ncolour = \"red\"");
    assert!(said.contains("colour"), "{said}");
}
