//! Kernel modules: which ones are needed, and in which order they are loaded.

use anyhow::{Context as _, Result, ensure};
use std::collections::BTreeMap;

/// Modules a chain of needs may have; a longer one is a circle.
const DEPTH_MAX: usize = 32;

/// The modules of a kernel package, by name.
#[derive(Debug, Default)]
pub struct Modules(BTreeMap<String, Vec<u8>>);

impl Modules {
    /// From the package's files: path and content; what is no module is left out.
    #[must_use]
    pub fn new(files: &BTreeMap<String, Vec<u8>>) -> Self {
        let modules = files.iter().filter_map(|(path, bytes)| {
            let name = path.rsplit('/').next()?.strip_suffix(".ko")?;
            Some((plain(name), bytes.clone()))
        });
        Self(modules.collect())
    }

    /// `wanted` and everything they need, each once, needs first.
    ///
    /// # Errors
    /// Where the kernel has no such module.
    pub fn in_order(&self, wanted: &[String]) -> Result<Vec<(&str, &[u8])>> {
        let mut order = Vec::new();
        for name in wanted {
            self.add(&plain(name), &mut order, DEPTH_MAX)?;
        }
        Ok(order)
    }

    fn add<'a>(
        &'a self,
        name: &str,
        order: &mut Vec<(&'a str, &'a [u8])>,
        depth: usize,
    ) -> Result<()> {
        if order.iter().any(|(known, _)| *known == name) {
            return Ok(());
        }
        ensure!(depth > 0, "module {name} needs itself");
        let found = self.0.get_key_value(name);
        let (name, bytes) =
            found.with_context(|| format!("the kernel package has no module {name}"))?;
        for need in needs(bytes) {
            self.add(&need, order, depth - 1)
                .with_context(|| format!("needed by {name}"))?;
        }
        order.push((name, bytes));
        Ok(())
    }
}

/// The kernel knows no difference between `-` and `_` in module names.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}

/// The names in the module's `depends=` (section .modinfo: strings ended by zero bytes).
fn needs(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(start) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let text = &module[start + KEY.len()..];
    let text = &text[..text.iter().position(|&byte| byte == 0).unwrap_or(0)];
    let text = String::from_utf8_lossy(text);
    text.split(',')
        .filter(|name| !name.is_empty())
        .map(plain)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(list: &[(&str, &str)]) -> Modules {
        let file = |(name, needs): &(&str, &str)| {
            (
                format!("lib/modules/1/kernel/{name}.ko"),
                format!("\x7fELF license=GPL\0depends={needs}\0name=x\0").into_bytes(),
            )
        };
        let mut files: BTreeMap<_, _> = list.iter().map(file).collect();
        files.insert("lib/modules/1/modules.builtin".into(), Vec::new());
        Modules::new(&files)
    }

    fn names(modules: &Modules, wanted: &[&str]) -> Result<Vec<String>> {
        let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        Ok(modules
            .in_order(&wanted)?
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect())
    }

    #[test]
    fn needs_come_first_and_once() {
        let set = modules(&[
            ("virtio-ring", ""),
            ("virtio", "virtio-ring"),
            ("net", "virtio,fail_over"),
            ("fail-over", ""),
            ("other", ""),
        ]);
        assert_eq!(
            names(&set, &["virtio", "net", "net"]).expect("order"),
            ["virtio_ring", "virtio", "fail_over", "net"]
        );
    }

    #[test]
    fn missing_modules_and_circles_are_refused() {
        let set = modules(&[("a", "b"), ("b", "a"), ("c", "gone")]);
        let missing = format!("{:#}", names(&set, &["c"]).expect_err("gone is missing"));
        assert!(
            missing.contains("gone") && missing.contains("needed by c"),
            "{missing}"
        );
        assert!(names(&set, &["a"]).is_err());
    }
}
