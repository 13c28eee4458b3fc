//! A real browser, driven over WebDriver (W3C) by a few plain HTTP calls to `chromedriver`.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const DRIVER: &str = "/usr/bin/chromedriver";
/// For a browser that hangs; a loaded machine starts one slowly.
const HANG: Duration = Duration::from_secs(120);
/// A browser for tests: no window, no sandbox (CI runs as root), and nothing it does by itself on the network.
const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A browser with one page, and a profile of its own that is removed at the end.
pub struct Browser {
    driver: Child,
    agent: ureq::Agent,
    /// `http://127.0.0.1:PORT/session/ID`.
    session: String,
    profile: PathBuf,
}

impl Browser {
    /// Starts a browser with a window of that size, in CSS pixels; its profile is made in `folder`.
    ///
    /// # Errors
    /// Where it is not installed, or does not start.
    pub fn start(folder: &Path, (width, height): (u32, u32)) -> Result<Self> {
        for program in [DRIVER, "/usr/bin/chromium"] {
            if !Path::new(program).exists() {
                bail!(
                    "{program} is missing: `./lazaret test` installs it (packages chromium and chromium-driver)"
                );
            }
        }
        let profile = folder.join("browser");
        let _ = fs::remove_dir_all(&profile);
        fs::create_dir_all(&profile)?;
        let mut driver = Command::new(DRIVER)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context(DRIVER)?;
        let port = driver_port(&mut driver);
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(HANG))
            .build()
            .new_agent();
        let mut browser = Self {
            driver,
            agent,
            session: String::new(),
            profile,
        };
        browser.session = browser.new_session(port?, width, height)?;
        Ok(browser)
    }

    fn new_session(&self, port: u16, width: u32, height: u32) -> Result<String> {
        let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(format!("--window-size={width},{height}"));
        arguments.push(format!("--user-data-dir={}", self.profile.display()));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": arguments },
        } } });
        let base = format!("http://127.0.0.1:{port}/session");
        let made = self.call(&base, Some(&wanted))?;
        let id = made["sessionId"].as_str().context("no session")?;
        Ok(format!("{base}/{id}"))
    }

    /// The value of the answer; an error says what the driver says.
    fn call(&self, url: &str, body: Option<&Value>) -> Result<Value> {
        let mut answer = match body {
            Some(body) => self
                .agent
                .post(url)
                .content_type("application/json")
                .send(body.to_string()),
            None => self.agent.get(url).call(),
        }
        .with_context(|| url.to_owned())?;
        let text = answer
            .body_mut()
            .with_config()
            .limit(64 << 20)
            .read_to_string()?;
        let mut value: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        if !answer.status().is_success() {
            bail!("{url}: {}", value["value"]["message"]);
        }
        Ok(value["value"].take())
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(&format!("{}/{path}", self.session), Some(body))
    }

    /// Goes to an address, and waits until the page is loaded.
    ///
    /// # Errors
    /// Where the browser refuses.
    pub fn open(&self, url: &str) -> Result<()> {
        self.post("url", &json!({ "url": url })).map(drop)
    }

    /// Runs JavaScript in the page; what it returns.
    ///
    /// # Errors
    /// Where it throws.
    pub fn run(&self, script: &str) -> Result<Value> {
        let body = json!({ "script": script, "args": [] });
        self.post("execute/sync", &body)
            .with_context(|| script.to_owned())
    }

    /// Runs JavaScript until it returns something that is true.
    ///
    /// # Errors
    /// Where it throws, or never does (for a hang).
    pub fn wait(&self, what: &str, script: &str) -> Result<Value> {
        let until = Instant::now() + HANG;
        loop {
            let value = self.run(script)?;
            if !matches!(value, Value::Null | Value::Bool(false)) {
                return Ok(value);
            }
            if Instant::now() > until {
                bail!("the page never showed {what}: {script}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Makes the page's window as large as a device's screen, in CSS pixels.
    ///
    /// # Errors
    /// Where the browser refuses.
    pub fn resize(&self, (width, height): (u32, u32)) -> Result<()> {
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        let body = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": screen });
        self.post("goog/cdp/execute", &body).map(drop)
    }

    /// Writes a PNG of what is seen.
    ///
    /// # Errors
    /// Where it cannot be made or written.
    pub fn screenshot(&self, file: &Path) -> Result<()> {
        let picture = self.call(&format!("{}/screenshot", self.session), None)?;
        let bytes = base64(picture.as_str().unwrap_or_default())?;
        fs::write(file, bytes).with_context(|| file.display().to_string())
    }

    /// What the console says is wrong, since the last call.
    ///
    /// # Errors
    /// Where the browser does not tell.
    pub fn errors(&self) -> Result<Vec<String>> {
        let entries = self.post("se/log", &json!({ "type": "browser" }))?;
        let entries = entries.as_array().context("a list")?;
        Ok(entries
            .iter()
            .filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING")
            .map(|entry| entry["message"].to_string())
            // Advice about how often a canvas is read: only the test does that.
            .filter(|message| !message.contains("willReadFrequently"))
            .collect())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // Ends the browser; without it the driver would leave it behind.
            let _ = self.agent.delete(&self.session).call();
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

/// The port the driver says it has taken.
fn driver_port(driver: &mut Child) -> Result<u16> {
    let output = driver.stdout.take().context("the driver's output")?;
    let mut lines = BufReader::new(output).lines();
    while let Some(Ok(line)) = lines.next() {
        let port = line
            .split_once("started successfully on port ")
            .and_then(|(_, rest)| rest.trim_end_matches('.').parse().ok());
        if let Some(port) = port {
            return Ok(port);
        }
    }
    bail!("{DRIVER} did not start")
}

/// RFC 4648, section 4; for pictures, which the driver gives as text.
fn base64(text: &str) -> Result<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let digit = digit(byte).context("not base64")?;
        held = held << 6 | u32::from(digit);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_the_rfc() {
        for (text, plain) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(base64(text).expect("good"), plain.as_bytes());
        }
        assert!(base64("Z*==").is_err());
    }
}
