//! What users do. Each act is one transaction; what changes a user emits `UserChanged` in it.

use std::{fmt, sync::Arc, time::Duration};

use axum::http::StatusCode;
use commerce_chassis::{
    Caller, Claims, Connection, Db, KeySet, OpenTransaction, Outbox, Problem, Result, sql,
};
use commerce_contracts::{Role, UserStatus};
use mainstay_clock::{Clock, IdGenerator};
use mainstay_database::Transactions as _;
use mainstay_messaging::envelope::micros_since_epoch;
use mainstay_outbox::Outbox as _;

use crate::{
    keys::Keys,
    password::{self, Passwords},
    rotation::TOKEN_LIFETIME,
    secret::{Secret, random},
    seeds,
    session::{self, Verdict, after, judge},
    store,
    user::{Registration, User, normal},
};

/// What a login or a refresh gives.
pub(crate) struct Grant {
    pub(crate) user: User,
    pub(crate) access_token: Secret,
    pub(crate) refresh_token: Secret,
}

/// The service's work. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    db: Db,
    outbox: Outbox,
    pub(crate) passwords: Passwords,
    keys: Keys,
    ids: Arc<dyn IdGenerator>,
    clock: Arc<dyn Clock>,
}

impl Desk {
    /// Creates keys and seeds that are missing.
    pub(crate) async fn open(
        (db, outbox): (Db, Outbox),
        ids: Arc<dyn IdGenerator>,
        clock: Arc<dyn Clock>,
        published: &KeySet,
        seed_password: Option<&str>,
    ) -> Result<Self> {
        let now = micros_since_epoch(clock.now());
        let keys = Keys::open(&db, published, &ids, now).await?;
        seeds::plant(&db, &outbox).await?;
        Ok(Self {
            passwords: Passwords::new(seed_password)?,
            db,
            outbox,
            keys,
            ids,
            clock,
        })
    }

    /// The service's database.
    pub(crate) const fn db(&self) -> &Db {
        &self.db
    }

    /// The clock.
    pub(crate) const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) const fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn now(&self) -> i64 {
        micros_since_epoch(self.clock.now())
    }

    /// Registers a customer.
    pub(crate) async fn register(&self, registration: Registration) -> Result<User, Problem> {
        let user = registration.customer(format!("cust-{}", self.ids.uuid().simple()))?;
        password::check(&registration.password)?;
        let hash = self.passwords.hash(registration.password).await?;
        let mut tx = self.begin().await?;
        if !store::insert(&mut tx, &user, Some(&hash)).await? {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "email-taken",
                "Somebody has registered this e-mail address",
                "log in instead",
            ));
        }
        self.emit(&mut tx, &user).await?;
        self.commit(tx).await?;
        Ok(user)
    }

    /// Lets a user in.
    pub(crate) async fn log_in(
        &self,
        email: &str,
        password: Secret,
        now: i64,
    ) -> Result<Grant, Problem> {
        // An address that is none is nobody's; it gets the answer of an unknown one.
        let Some(email) = normal(email) else {
            return Err(wrong_login());
        };
        // First of all: an attempt counts as wrong until its password is checked, so it must be checked.
        let turn = self.passwords.turn().await?;
        let mut tx = self.begin().await?;
        if let Some(until) = store::attempt(&mut tx, &email, now).await? {
            return Err(locked(until, now));
        }
        let (user_id, stored) = store::credentials(&mut tx, &email).await?;
        self.commit(tx).await?;
        let is_right = self.passwords.verify(turn, password, stored).await?;
        let Some(user_id) = user_id.filter(|_| is_right) else {
            return Err(wrong_login());
        };
        let mut tx = self.begin().await?;
        let user = store::find(&mut tx, &user_id)
            .await?
            .ok_or_else(wrong_login)?;
        store::forgive(&mut tx, &email).await?;
        let session_id = self.ids.uuid().simple().to_string();
        let refresh_token = session::token(random()?);
        let ends = after(now, session::LONGEST);
        store::sessions::begin(&mut tx, &session_id, &user.id, ends).await?;
        add(&mut tx, &refresh_token, &session_id, ends, now).await?;
        let grant = self.grant(user, &session_id, refresh_token, now)?;
        self.commit(tx).await?;
        Ok(grant)
    }

    /// Replaces a refresh token by its successor.
    pub(crate) async fn refresh(&self, token: &Secret, now: i64) -> Result<Grant, Problem> {
        let hash = session::hash(token);
        let mut tx = self.begin().await?;
        let stored = store::sessions::lock(&mut tx, &hash).await?;
        let stored = stored.ok_or_else(ended)?;
        let successor = match judge(&stored, now) {
            Verdict::Rotate => {
                let nonce = random()?;
                let successor = session::successor(token, &nonce);
                store::sessions::mark_used(&mut tx, &hash, now, &nonce).await?;
                let ends = stored.session_ends_at;
                add(&mut tx, &successor, &stored.session_id, ends, now).await?;
                successor
            }
            Verdict::Again(nonce) => session::successor(token, &nonce),
            Verdict::Reused => {
                store::sessions::revoke(&mut tx, &stored.session_id, now).await?;
                self.commit(tx).await?;
                let (user, session) = (&stored.user_id, &stored.session_id);
                tracing::warn!(
                    user,
                    session,
                    "a used refresh token came again: its session was ended"
                );
                return Err(Problem::unauthenticated(
                    "refresh-token-reused",
                    "the token was used before; its session was ended, log in again",
                ));
            }
            Verdict::Ended => return Err(ended()),
        };
        let user = store::find(&mut tx, &stored.user_id).await?;
        let user = user.filter(|user| user.status == UserStatus::Active);
        let user = user.ok_or_else(ended)?;
        let grant = self.grant(user, &stored.session_id, successor, now)?;
        self.commit(tx).await?;
        Ok(grant)
    }

    /// Ends the session of a refresh token. Access tokens end by themselves, within minutes.
    pub(crate) async fn log_out(&self, token: &Secret, now: i64) -> Result<(), Problem> {
        let mut tx = self.begin().await?;
        let stored = store::sessions::lock(&mut tx, &session::hash(token)).await?;
        if let Some(stored) = stored {
            store::sessions::revoke(&mut tx, &stored.session_id, now).await?;
            self.commit(tx).await?;
        }
        Ok(())
    }

    /// Reads a user.
    pub(crate) async fn find(&self, id: &str) -> Result<User, Problem> {
        let mut reader = self.db.reader().acquire().await.map_err(sql)?;
        let user = store::find(&mut reader, id).await?;
        user.ok_or_else(no_such_user)
    }

    /// Gives a user these roles. They count from the user's next access token on.
    pub(crate) async fn set_roles(
        &self,
        caller: &Caller,
        id: &str,
        mut roles: Vec<Role>,
    ) -> Result<User, Problem> {
        roles.sort_unstable();
        roles.dedup();
        // So that one operator is left.
        if caller.user_id() == Some(id) && !roles.contains(&Role::Operator) {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "own-role",
                "Operators do not take their own role away",
                "ask another operator",
            ));
        }
        let mut tx = self.begin().await?;
        let user = store::lock(&mut tx, id).await?;
        let mut user = user.ok_or_else(no_such_user)?;
        if user.roles != roles {
            user.roles = roles;
            user.version += 1;
            store::update_roles(&mut tx, &user).await?;
            self.emit(&mut tx, &user).await?;
        }
        self.commit(tx).await?;
        Ok(user)
    }

    fn grant(
        &self,
        user: User,
        session_id: &str,
        refresh_token: Secret,
        now: i64,
    ) -> Result<Grant> {
        let now = Duration::from_micros(u64::try_from(now).unwrap_or(0));
        let roles = user.roles.clone();
        let claims = Claims::new(&user.id, roles, session_id, now, TOKEN_LIFETIME);
        let access_token = Secret(self.keys.current().sign(&claims)?);
        Ok(Grant {
            user,
            access_token,
            refresh_token,
        })
    }

    async fn begin(&self) -> Result<OpenTransaction> {
        Ok(self.db.begin().await?)
    }

    async fn commit(&self, tx: OpenTransaction) -> Result<()> {
        Ok(self.db.commit(tx).await?)
    }

    async fn emit(&self, tx: &mut Connection, user: &User) -> Result<()> {
        Ok(self.outbox.emit(tx, &user.changed()).await?)
    }
}

async fn add(
    tx: &mut Connection,
    token: &Secret,
    session_id: &str,
    session_ends: i64,
    now: i64,
) -> Result<()> {
    let ends = after(now, session::IDLE).min(session_ends);
    store::sessions::add(tx, &session::hash(token), session_id, ends).await
}

fn wrong_login() -> Problem {
    Problem::unauthenticated(
        "login-failed",
        "the e-mail address or the password is wrong",
    )
}

fn locked(until: i64, now: i64) -> Problem {
    let micros = u64::try_from(until.saturating_sub(now)).unwrap_or(0);
    let seconds = micros.div_ceil(1_000_000).max(1);
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "login-locked",
        "Too many wrong passwords",
        format!("try again in {seconds} s"),
    )
    .retry_after(seconds)
}

fn ended() -> Problem {
    Problem::unauthenticated("session-ended", "the session has ended; log in again")
}

fn no_such_user() -> Problem {
    Problem::not_found("there is no such user")
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("user", &self.user.id)
            .finish_non_exhaustive()
    }
}
