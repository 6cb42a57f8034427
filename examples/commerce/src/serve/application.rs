//! What a process runs, behind the listener and beside it.

use std::sync::Arc;

use axum::Router;
use commerce_chassis::{Authentication, HealthCheck, KeySet, Service};
use mainstay_clock::SystemClock;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    Presence, Settings, check_log, create, front, insight::Insight, jwks, open, open_log,
    readiness::Readiness,
};
use crate::{config::Config, error::Failure};

/// A process that is about to serve.
pub(super) struct Application {
    /// What the listener reaches: the gateway, or one service.
    pub(super) front: Router,
    /// The services for callers within the process, who pass no gateway.
    pub(super) services: Router,
    health: Vec<HealthCheck>,
    elsewhere: commerce_gateway::Readiness,
    pub(super) insight: Insight,
    pub(super) tasks: JoinSet<Result<(), Failure>>,
    /// Cancel it to end the tasks.
    pub(super) shutdown: CancellationToken,
    _presence: Option<Presence>,
}

impl Application {
    /// Opens the services and spawns their tasks, or connects the gateway alone.
    pub(super) async fn start(config: &Config) -> Result<Self, Failure> {
        if config.services.is_empty() {
            return Self::gateway(config);
        }
        check_log(&config.storage, &config.services).await?;
        create(config.storage.data())?;
        let presence = Presence::announce(config.storage.data())?;
        let deployment = open_log(config.storage.clone()).await?;
        let deployment = deployment.operators(config.operators.clone());
        let deployment = deployment.access(config.access);
        let deployment = deployment.with_webhook_secrets(config.webhooks.clone());
        let settings = Settings {
            hold: config.hold,
            seed_password: config.seed_password.clone(),
            notification: config.notification.clone(),
        };
        let opened = open(&deployment, &config.services, &settings).await?;
        let insight = Insight::new(config.access, deployment.authentication());
        let mut application = Self {
            front: front::local(config, deployment.authentication(), &opened)?,
            insight,
            services: Router::new(),
            health: Vec::new(),
            elsewhere: commerce_gateway::Readiness::default(),
            tasks: JoinSet::new(),
            shutdown: deployment.shutdown().clone(),
            _presence: Some(presence),
        };
        for service in opened {
            application.add(service);
        }
        application.follow(config, deployment.keys());
        Ok(application)
    }

    fn gateway(config: &Config) -> Result<Self, Failure> {
        let (keys, operators) = (KeySet::default(), config.operators.clone());
        let clock = Arc::new(SystemClock::new());
        let authentication = Authentication::new(config.access, keys.clone(), operators, clock);
        let insight = Insight::new(config.access, authentication.clone());
        let front = front::remote(config, authentication)?;
        let upstreams = config.upstreams.iter().map(|(name, url)| (&**name, url));
        let mut application = Self {
            elsewhere: commerce_gateway::Readiness::new(upstreams),
            insight,
            services: front.clone(),
            front,
            health: Vec::new(),
            tasks: JoinSet::new(),
            shutdown: CancellationToken::new(),
            _presence: None,
        };
        application.follow(config, &keys);
        // The process ends with its first task.
        let shutdown = application.shutdown.clone();
        application.tasks.spawn(async move {
            shutdown.cancelled().await;
            Ok(())
        });
        Ok(application)
    }

    pub(super) fn readiness(&self) -> Readiness {
        Readiness {
            here: self.health.clone().into(),
            elsewhere: self.elsewhere.clone(),
            insight: self.insight.clone(),
        }
    }

    fn add(&mut self, service: Service) {
        self.services = std::mem::take(&mut self.services).merge(service.router);
        self.health.push(service.health);
        for (task, work) in service.tasks {
            let name = service.name;
            self.tasks.spawn(async move {
                work.await.map_err(|error| {
                    Failure::new(format!("the {task} of the {name} service ended"), &error)
                })
            });
        }
    }

    fn follow(&mut self, config: &Config, keys: &KeySet) {
        if !config.jwks.is_empty() {
            let (keys, urls) = (keys.clone(), config.jwks.clone());
            let following = jwks::follow(keys, urls, self.shutdown.clone());
            self.tasks.spawn(following);
        }
    }
}
