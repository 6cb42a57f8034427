//! A script of the server, called by its hash.

use redis::{Cmd, ErrorKind, FromRedisValue, ServerErrorKind, aio::ConnectionManager};

use super::classify;
use crate::Error;

pub(super) struct Script {
    hash: String,
    text: &'static str,
}

impl Script {
    /// Loads it, so that its first call takes one round trip as well.
    pub(super) async fn load(
        connection: &mut ConnectionManager,
        text: &'static str,
    ) -> Result<Self, Error> {
        let script = redis::Script::new(text);
        let hash = script.load_async(connection).await.map_err(classify)?;
        Ok(Self { hash, text })
    }

    /// A call on these keys; its arguments follow.
    pub(super) fn call(&self, keys: &[String]) -> Call {
        let mut by_hash = redis::cmd("EVALSHA");
        by_hash.arg(&self.hash).arg(keys.len()).arg(keys);
        Call {
            by_hash,
            text: self.text,
        }
    }
}

/// A call of a script.
pub(super) struct Call {
    by_hash: Cmd,
    text: &'static str,
}

impl Call {
    pub(super) fn arg(&mut self, argument: impl redis::ToRedisArgs) -> &mut Self {
        self.by_hash.arg(argument);
        self
    }

    pub(super) async fn send<T: FromRedisValue>(
        &self,
        connection: &ConnectionManager,
    ) -> Result<T, Error> {
        let mut connection = connection.clone();
        let answer = self.by_hash.query_async(&mut connection).await;
        match answer {
            // A restart or a failover emptied the cache of scripts. The text fills it again.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let mut by_text = redis::cmd("EVAL");
                by_text.arg(self.text);
                for argument in self.by_hash.args_iter().skip(2) {
                    if let redis::Arg::Simple(argument) = argument {
                        by_text.arg(argument);
                    }
                }
                by_text.query_async(&mut connection).await.map_err(classify)
            }
            answer => answer.map_err(classify),
        }
    }
}
