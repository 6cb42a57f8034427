//! A process of the application.

use std::{
    fs::{self, File},
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};
use mainstay_testkit::{Background, within};
use serde::{Deserialize, Serialize};

/// A busy machine may take long over the first start, which creates databases.
const PATIENCE: Duration = Duration::from_secs(120);

/// Longer than the application's own two deadlines for draining.
const DRAIN: Duration = Duration::from_secs(20);

/// A build of the application.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Build {
    pub(super) program: Utf8PathBuf,
    /// When it was linked: that tells builds apart.
    pub(super) at: SystemTime,
}

/// Names and values in the environment.
pub(super) type Settings = Vec<(String, String)>;

/// What a process runs, apart from where it listens.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) build: Build,
    pub(super) settings: Settings,
    pub(super) arguments: Vec<String>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Process {
    pub(super) name: String,
    pub(super) pid: u32,
    /// None if an earlier version of this command started it.
    #[serde(default)]
    pub(super) run: Option<Run>,
    started: String,
    /// Its standard output, where it says when it is ready.
    said: Utf8PathBuf,
    pub(super) log: Utf8PathBuf,
    /// None until it is ready.
    url: Option<String>,
}

impl Process {
    pub(super) fn start(home: &Utf8Path, name: &str, listen: &str, run: Run) -> Result<Self> {
        let mut command = Command::new(&run.build.program);
        command.args(["serve", "--listen", listen]);
        command.args(&run.arguments);
        command.envs(run.settings.iter().map(|(name, value)| (name, value)));
        let [said, log] = ["said", "log"].map(|end| home.join(format!("{name}.{end}")));
        let open = |path| File::create(path).with_context(|| format!("{path}"));
        let process = Background::start(command, open(&said)?, open(&log)?);
        let Background { pid, started } = process.with_context(|| format!("starting {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            pid,
            run: Some(run),
            started,
            said,
            log,
            url: None,
        })
    }

    /// Waits until it is ready, and knows its address.
    pub(super) fn ready(&self) -> Result<Self> {
        let mut url = None;
        within(PATIENCE, || {
            let said = fs::read_to_string(&self.said).unwrap_or_default();
            let line = said.lines().find_map(|line| line.strip_prefix("ready "));
            url = line.map(str::to_owned);
            url.is_some() || !self.runs()
        });
        let Some(url) = url else {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let last = log.lines().last().unwrap_or("it said nothing");
            bail!(
                "{} does not start: {last}; its log is {}",
                self.name,
                self.log
            );
        };
        Ok(Self {
            url: Some(url),
            ..self.clone()
        })
    }

    pub(super) fn url(&self) -> &str {
        self.url.as_deref().unwrap_or("not ready")
    }

    pub(super) fn address(&self) -> Option<&str> {
        self.url.as_deref()?.strip_prefix("http://")
    }

    pub(super) fn runs(&self) -> bool {
        self.process().runs()
    }

    pub(super) fn stop(&self) -> bool {
        self.process().stop(DRAIN)
    }

    fn process(&self) -> Background {
        Background {
            pid: self.pid,
            started: self.started.clone(),
        }
    }
}
