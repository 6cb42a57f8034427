//! Passwords: argon2id. A hash takes a core and 19 MiB for a while, so only so many are computed at a
//! time, away from the threads that answer requests.

use std::{fmt, num::NonZero, sync::Arc, time::Duration};

use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use commerce_chassis::{Error, Problem, Result};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

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

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: Secret) -> Result<String, Problem> {
        Ok(self.take_turn(move || hash(&password.0)).await??)
    }

    /// Whether the password belongs to a user with this hash. An unknown user costs the same time.
    pub(crate) async fn verify(&self, password: Secret, stored: Stored) -> Result<bool, Problem> {
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
        Ok(self.take_turn(check).await?? && may_enter)
    }

    async fn take_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = timeout(WAIT, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Problem::unavailable());
        };
        // The turn ends with the work, even if the client hangs up.
        let work = spawn_blocking(move || (work(), turn).0);
        let worked = work.await;
        Ok(worked.map_err(|error| Error::damaged("the hash of a password", error))?)
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
            let verified = passwords.verify(secret(password), stored).await.unwrap();
            assert_eq!(verified, is_right, "{password}");
        }
    }

    #[tokio::test]
    async fn without_a_password_of_the_seeds_they_do_not_enter() {
        let passwords = Passwords::new(None).unwrap();
        for guess in ["", "mainstay"] {
            let verified = passwords.verify(secret(guess), Stored::Seed).await;
            assert!(!verified.unwrap());
        }
        assert!(!format!("{passwords:?} {:?}", secret("correct horse")).contains("horse"));
        let damaged = passwords.verify(secret("correct horse"), Stored::Own("no hash".to_owned()));
        assert!(damaged.await.is_err());
    }
}
