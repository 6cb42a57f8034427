//! Passwords: argon2id. A hash takes a core and 19 MiB for a while, so only so many are computed at a
//! time, away from the threads that answer requests.

use std::{fmt, num::NonZero, sync::Arc, time::Duration};

use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use commerce_chassis::{Error, Problem, Result};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};

use crate::{
    secret::{Secret, random},
    user::unprocessable,
};

/// Longest wait for a turn; a client would not wait much longer.
const WAIT: Duration = Duration::from_secs(3);
const SHORTEST: usize = 10;
const LONGEST: usize = 200;

/// Computes and checks hashes. Clones share the turns.
#[derive(Clone)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    /// Of the seeds' password; without one, of a random password.
    seed: Arc<str>,
    seeds_may_enter: bool,
}

impl Passwords {
    pub(crate) fn new(seed_password: Option<&str>) -> Result<Self> {
        let unknown = hex::encode(random()?);
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Ok(Self {
            turns: Arc::new(Semaphore::new(cores)),
            seed: hash(seed_password.unwrap_or(&unknown))?.into(),
            seeds_may_enter: seed_password.is_some(),
        })
    }

    /// Waits for a turn. 503 = there is none in time.
    pub(crate) async fn turn(&self) -> Result<Turn, Problem> {
        let turn = timeout(WAIT, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok);
        turn.map(|permit| Turn { _permit: permit })
            .ok_or_else(Problem::unavailable)
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: Secret) -> Result<String, Problem> {
        let turn = self.turn().await?;
        Ok(turn.work(move || hash(&password.0)).await??)
    }

    /// Whether the password belongs to a user with this hash. An unknown user costs the same time.
    pub(crate) async fn verify(
        &self,
        turn: Turn,
        password: Secret,
        stored: Stored,
    ) -> Result<bool, Problem> {
        let (hash, may_enter): (Arc<str>, bool) = match stored {
            Stored::Own(hash) => (hash.into(), true),
            Stored::Seed => (Arc::clone(&self.seed), self.seeds_may_enter),
            Stored::Unknown => (Arc::clone(&self.seed), false),
        };
        let check = move || {
            let verified = Argon2::default().verify_password(password.0.as_bytes(), &*hash);
            match verified {
                Ok(()) => Ok(true),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(Error::damaged("the hash of a password", error)),
            }
        };
        Ok(turn.work(check).await?? && may_enter)
    }
}

/// The right to compute one hash.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Turn {
    async fn work<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        // The turn ends with the work, even if the client hangs up.
        let work = spawn_blocking(move || (work(), self).0);
        work.await
            .map_err(|error| Error::damaged("the hash of a password", error))
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

/// What is stored of a user's password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Stored {
    Own(String),
    /// The password of the seeds.
    Seed,
    /// There is no such user.
    Unknown,
}

/// Refuses passwords that are too short to be safe, or so long that they cost too much.
pub(crate) fn check(password: &Secret) -> Result<(), Problem> {
    let length = password.0.chars().count();
    if (SHORTEST..=LONGEST).contains(&length) {
        return Ok(());
    }
    let wanted = format!("password: {SHORTEST} to {LONGEST} characters");
    Err(unprocessable(
        "weak-password",
        "The password is not safe",
        wanted,
    ))
}

fn hash(password: &str) -> Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    let hash = hash.map_err(|error| Error::damaged("a password", error))?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_is_known_again_and_hashed_with_argon2id() {
        let passwords = Passwords::new(Some("of the seeds")).unwrap();
        let hash = passwords.hash(secret("correct horse")).await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let own = Stored::Own(hash);
        for (password, stored, is_right) in [
            ("correct horse", own.clone(), true),
            ("correct hors", own, false),
            ("of the seeds", Stored::Seed, true),
            ("of the seeds", Stored::Unknown, false),
        ] {
            let turn = passwords.turn().await.unwrap();
            let verified = passwords.verify(turn, secret(password), stored).await;
            assert_eq!(verified.unwrap(), is_right, "{password}");
        }
    }

    #[tokio::test]
    async fn without_a_password_of_the_seeds_they_do_not_enter() {
        let passwords = Passwords::new(None).unwrap();
        for guess in ["", "mainstay"] {
            let turn = passwords.turn().await.unwrap();
            let verified = passwords.verify(turn, secret(guess), Stored::Seed).await;
            assert!(!verified.unwrap());
        }
        assert!(!format!("{passwords:?} {:?}", secret("correct horse")).contains("horse"));
        let turn = passwords.turn().await.unwrap();
        let damaged = Stored::Own("no hash".to_owned());
        let damaged = passwords.verify(turn, secret("correct horse"), damaged);
        assert!(damaged.await.is_err());
    }
}
