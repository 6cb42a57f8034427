//! A script of the server, called by its hash.

use redis::{
    Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, ToRedisArgs, Value,
    aio::{ConnectionLike as _, ConnectionManager},
};

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
    pub(super) fn call(&self, keys: impl ExactSizeIterator<Item: ToRedisArgs>) -> Call {
        let mut by_hash = redis::cmd("EVALSHA");
        by_hash.arg(&self.hash).arg(keys.len());
        for key in keys {
            by_hash.arg(key);
        }
        Call {
            by_hash,
            text: self.text,
        }
    }

    /// A call each, in one round trip. The text goes ahead of them, as the server may have forgotten it.
    pub(super) async fn send_each(
        &self,
        calls: impl IntoIterator<Item = Call>,
        connection: &ConnectionManager,
    ) -> RedisResult<Vec<Value>> {
        let mut pipeline = redis::Pipeline::new();
        pipeline.cmd("SCRIPT").arg("LOAD").arg(self.text);
        let mut count = 0;
        for call in calls {
            pipeline.add_command(call.by_hash);
            count += 1;
        }
        let mut connection = connection.clone();
        connection.req_packed_commands(&pipeline, 1, count).await
    }
}

/// A call of a script.
pub(super) struct Call {
    by_hash: Cmd,
    text: &'static str,
}

impl Call {
    pub(super) fn arg(&mut self, argument: impl ToRedisArgs) -> &mut Self {
        self.by_hash.arg(argument);
        self
    }

    /// What the server answers; an error in a list of answers is that answer.
    pub(super) async fn send(&self, connection: &ConnectionManager) -> RedisResult<Value> {
        match self.send_by_hash(connection).await {
            // A restart or a failover emptied the cache of scripts. The text fills it again.
            Err(error) if is_forgotten(&error) => {
                let mut connection = connection.clone();
                let answer = connection.req_packed_command(&self.by_text()).await;
                answer.and_then(refused)
            }
            answer => answer,
        }
    }

    /// As [`send`](Self::send), but the server may have [forgotten](is_forgotten) the script.
    pub(super) async fn send_by_hash(&self, connection: &ConnectionManager) -> RedisResult<Value> {
        let mut connection = connection.clone();
        let answer = connection.req_packed_command(&self.by_hash).await;
        answer.and_then(refused)
    }

    fn by_text(&self) -> Cmd {
        let mut by_text = redis::cmd("EVAL");
        by_text.arg(self.text);
        for argument in self.by_hash.args_iter().skip(2) {
            if let redis::Arg::Simple(argument) = argument {
                by_text.arg(argument);
            }
        }
        by_text
    }
}

pub(super) fn is_forgotten(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn refused(answer: Value) -> RedisResult<Value> {
    match answer {
        Value::ServerError(error) => Err(RedisError::from(error)),
        answer => Ok(answer),
    }
}
