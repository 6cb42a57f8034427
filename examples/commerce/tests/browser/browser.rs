//! Chromium, driven by chromedriver; both as Debian has them.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use mainstay_testkit::skipped;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use tempfile::TempDir;
use thirtyfour::{
    ChromiumLikeCapabilities as _, error::WebDriverErrorInner::StaleElementReference, prelude::*,
};

/// No wait takes that long, even on a busy machine, unless something is broken.
const LOOKS: u32 = 1_200;
const LOOK: Duration = Duration::from_millis(100);
/// Width of a telephone.
const PHONE: u32 = 390;

pub(crate) struct Browser {
    pub(crate) driver: WebDriver,
    _server: Server,
    _profile: TempDir,
    pictures: PathBuf,
}

impl Browser {
    /// None if there is no chromium, unless `MAINSTAY_REQUIRE` asks for it.
    pub(crate) async fn open() -> WebDriverResult<Option<Self>> {
        let Some((server, port)) = driver() else {
            skipped(
                "browser",
                "chromium",
                "chromium and chromedriver are not installed",
            );
            return Ok(None);
        };
        let profile = tempfile::tempdir().unwrap();
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in [
            "--headless",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
            "--window-size=1200,1600",
            &format!("--user-data-dir={}", profile.path().display()),
        ] {
            capabilities.add_arg(argument)?;
        }
        let address = format!("http://127.0.0.1:{port}");
        let driver = WebDriver::new(address, capabilities).await?;
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let pictures = target.join("screenshots");
        std::fs::create_dir_all(&pictures).unwrap();
        Ok(Some(Self {
            driver,
            _server: server,
            _profile: profile,
            pictures,
        }))
    }

    pub(crate) async fn close(self) -> WebDriverResult<()> {
        self.driver.quit().await
    }

    pub(crate) async fn goto(&self, url: &str) -> WebDriverResult<()> {
        self.driver.goto(url).await
    }

    /// Runs a script in the page.
    pub(crate) async fn run(&self, script: &str) -> WebDriverResult<()> {
        self.driver.execute(script, Vec::new()).await.map(drop)
    }

    /// Clicks, inside of the folded part of the form if that is said.
    pub(crate) async fn click(&self, css: &str, folded: bool) -> WebDriverResult<()> {
        if folded {
            self.wait_for("#ways summary").await?.click().await?;
        }
        self.wait_for(css).await?.click().await
    }

    /// Presses the mouse button on an element, and holds it. The page may replace the element at any
    /// time before.
    pub(crate) async fn hold(&self, css: &str) -> WebDriverResult<()> {
        loop {
            let element = self.wait_for(css).await?;
            let chain = self.driver.action_chain();
            match chain.click_and_hold_element(&element).perform().await {
                Err(error) if matches!(error.as_inner(), StaleElementReference(_)) => {}
                held => return held,
            }
        }
    }

    /// Waits for an element.
    pub(crate) async fn wait_for(&self, css: &str) -> WebDriverResult<WebElement> {
        for _ in 0..LOOKS {
            if let Ok(found) = self.driver.find(By::Css(css)).await {
                return Ok(found);
            }
            tokio::time::sleep(LOOK).await;
        }
        self.driver.find(By::Css(css)).await
    }

    /// Waits for an element with this text.
    pub(crate) async fn wait_for_text(&self, css: &str, text: &str) -> WebDriverResult<()> {
        for _ in 0..LOOKS {
            for found in self.driver.find_all(By::Css(css)).await? {
                // It may have been replaced since.
                if found.text().await.is_ok_and(|shown| shown.contains(text)) {
                    return Ok(());
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("no {css} says {text:?}: {}", self.driver.source().await?);
    }

    /// Turns the page's scripts on or off.
    pub(crate) async fn scripts(&self, on: bool) -> WebDriverResult<()> {
        self.send(
            "Emulation.setScriptExecutionDisabled",
            json!({"value": !on}),
        )
        .await
    }

    /// A picture in light colours, one in dark ones, and one of a telephone.
    pub(crate) async fn pictures(&self, name: &str) -> WebDriverResult<()> {
        for scheme in ["light", "dark"] {
            let feature = json!({"name": "prefers-color-scheme", "value": scheme});
            let media = json!({"features": [feature]});
            self.send("Emulation.setEmulatedMedia", media).await?;
            self.picture(&format!("{name}-{scheme}")).await?;
        }
        self.send("Emulation.setEmulatedMedia", json!({"features": []}))
            .await?;
        let phone = json!({"width": PHONE, "height": 1400, "deviceScaleFactor": 1, "mobile": true});
        self.send("Emulation.setDeviceMetricsOverride", phone)
            .await?;
        self.picture(&format!("{name}-phone")).await?;
        self.assert_fits(name).await?;
        self.send("Emulation.clearDeviceMetricsOverride", json!({}))
            .await
    }

    /// A page scrolls down, never sideways: what is wide scrolls by itself.
    async fn assert_fits(&self, name: &str) -> WebDriverResult<()> {
        let width = "return document.documentElement.scrollWidth;";
        let width: u32 = self.driver.execute(width, Vec::new()).await?.convert()?;
        assert!(width <= PHONE, "{name} is {width} wide");
        Ok(())
    }

    pub(crate) async fn picture(&self, name: &str) -> WebDriverResult<()> {
        let path = self.pictures.join(format!("{name}.png"));
        self.driver.screenshot(&path).await
    }

    async fn send(&self, method: &str, parameters: serde_json::Value) -> WebDriverResult<()> {
        self.driver
            .cdp()
            .send_raw(method, parameters)
            .await
            .map(drop)
    }
}

/// chromedriver and the browsers that it has started. They end with a test that fails, too.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It leads a group of processes of its own.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        drop(self.0.wait());
    }
}

/// chromedriver on a port of its choice; none if it is not installed.
fn driver() -> Option<(Server, u16)> {
    let installed = |program: &str| {
        let mut command = Command::new(program);
        let version = command.arg("--version").stdout(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    if !installed("chromium") {
        return None;
    }
    let mut command = Command::new("chromedriver");
    let command = command.arg("--port=0").process_group(0);
    let mut server = Server(command.stdout(Stdio::piped()).spawn().ok()?);
    let lines = BufReader::new(server.0.stdout.take()?).lines();
    let port = lines.map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    Some((server, port.unwrap()))
}
