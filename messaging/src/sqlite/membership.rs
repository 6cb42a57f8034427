//! A group's membership: leases, the division of partitions, and epochs that keep former owners
//! out.

use std::collections::BTreeMap;

use mainstay_clock::Monotonic;
use sqlx::SqliteConnection;

use crate::{
    Error, Group, Partition, StartAt, Topic, assignment,
    holdings::{self, view::View},
    sqlite::{Inner, driver, sort},
};

/// Partitions go by their id in the file.
type Claim = holdings::Claim<i64>;

/// A member's name and subscription.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) group: Group,
    pub(super) name: String,
    /// JSON array.
    pub(super) topics: String,
    pub(super) start_at: StartAt,
}

/// Renews the member's lease, removes members whose lease has ended, takes what is free and due to
/// this member.
///
/// One IMMEDIATE transaction: the ticks of all members run one after the other. The member's first
/// tick notes its subscription.
pub(super) async fn tick(inner: &Inner, me: &Member, is_first: bool) -> Result<View<i64>, Error> {
    let (sql, clock) = (&inner.statements, &inner.settings.clock);
    let (now, boot) = (clock.monotonic(), clock.boot_id());
    let group = me.group.as_str();
    let mut tx = inner.database.begin().await.map_err(sort)?;
    sqlx::query(sql.renew.clone())
        .bind(group)
        .bind(&me.name)
        .bind(boot.as_str())
        .bind((now + inner.settings.lease).as_micros())
        .bind(&me.topics)
        .execute(&mut *tx)
        .await
        .map_err(driver)?;
    let (members, dead) = members(inner, &mut tx, me, now).await?;
    if dead {
        sqlx::query(sql.expire.clone())
            .bind(group)
            .bind(&me.name)
            .bind(boot.as_str())
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
    }
    sqlx::query(sql.admit_partitions.clone())
        .bind(group)
        .bind(&me.topics)
        .bind(me.start_at == StartAt::Latest)
        .execute(&mut *tx)
        .await
        .map_err(driver)?;
    if is_first {
        sqlx::query(sql.note_subscription.clone())
            .bind(group)
            .bind(&me.topics)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
    }
    let mut claims = claims(inner, &mut tx, group).await?;
    let is_living = |owner: &str| members.iter().any(|(name, _)| name == owner);
    if (claims.iter().filter_map(|claim| claim.owner.as_deref())).any(|owner| !is_living(owner)) {
        sqlx::query(sql.free.clone())
            .bind(group)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        claims = self::claims(inner, &mut tx, group).await?;
    }
    let target = target(&claims, &members);
    let due = |claim: &&Claim| target.get(&claim.id).is_some_and(|owner| *owner == me.name);
    let free: Vec<i64> = claims
        .iter()
        .filter(due)
        .filter(|claim| claim.owner.is_none())
        .map(|claim| claim.id)
        .collect();
    let claims = if free.is_empty() {
        claims
    } else {
        sqlx::query(sql.claim.clone())
            .bind(group)
            .bind(&me.name)
            .bind(json(&free)?)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        self::claims(inner, &mut tx, group).await?
    };
    inner.database.commit(tx).await.map_err(sort)?;
    let held: Vec<Claim> = claims
        .into_iter()
        .filter(|claim| claim.owner.as_deref() == Some(&*me.name))
        .collect();
    let wanted_elsewhere = held
        .iter()
        .filter(|claim| !due(claim))
        .map(|claim| claim.id)
        .collect();
    Ok(View {
        held,
        wanted_elsewhere,
    })
}

/// Gives partitions back; `leaving` ends the membership, too.
pub(super) async fn release(
    inner: &Inner,
    me: &Member,
    partitions: &[i64],
    leaving: bool,
) -> Result<(), Error> {
    let mut tx = inner.database.begin().await.map_err(sort)?;
    sqlx::query(inner.statements.release.clone())
        .bind(me.group.as_str())
        .bind(&me.name)
        .bind(json(partitions)?)
        .execute(&mut *tx)
        .await
        .map_err(driver)?;
    if leaving {
        sqlx::query(inner.statements.leave.clone())
            .bind(me.group.as_str())
            .bind(&me.name)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
    }
    inner.database.commit(tx).await.map_err(sort)
}

/// Members by name with the topics they read.
type Members = Vec<(String, Vec<Topic>)>;

/// The members that live, and whether there are others.
async fn members(
    inner: &Inner,
    tx: &mut SqliteConnection,
    me: &Member,
    now: Monotonic,
) -> Result<(Members, bool), Error> {
    let rows: Vec<(String, String, bool)> = sqlx::query_as(inner.statements.members.clone())
        .bind(me.group.as_str())
        .bind(&me.name)
        .bind(inner.settings.clock.boot_id().as_str())
        .bind(now.as_micros())
        .fetch_all(tx)
        .await
        .map_err(driver)?;
    let dead = rows.iter().any(|(.., dead)| *dead);
    let living = rows.into_iter().filter(|(.., dead)| !dead);
    let living: Result<Members, Error> = living
        .map(|(name, topics, _)| {
            let topics: Vec<String> =
                serde_json::from_str(&topics).map_err(|error| Error::Refused(error.into()))?;
            let topics = topics
                .into_iter()
                .map(|topic| Topic::new(topic).map_err(|error| Error::Refused(error.into())))
                .collect::<Result<_, Error>>()?;
            Ok((name, topics))
        })
        .collect();
    Ok((living?, dead))
}

type ClaimRow = (i64, String, i32, Option<String>, i64, i64, i64, i64);

async fn claims(
    inner: &Inner,
    tx: &mut SqliteConnection,
    group: &str,
) -> Result<Vec<Claim>, Error> {
    let rows: Vec<ClaimRow> = sqlx::query_as(inner.statements.claims.clone())
        .bind(group)
        .fetch_all(tx)
        .await
        .map_err(driver)?;
    rows.into_iter()
        .map(
            |(id, topic, number, owner, epoch, committed, first, next)| {
                Ok(Claim {
                    id,
                    partition: Partition {
                        topic: Topic::new(topic).map_err(|error| Error::Refused(error.into()))?,
                        number,
                    },
                    owner,
                    epoch,
                    committed,
                    first,
                    next,
                })
            },
        )
        .collect()
}

/// The member that should hold each partition: balanced per topic among the members that read it.
fn target(claims: &[Claim], members: &Members) -> BTreeMap<i64, String> {
    let mut by_topic: BTreeMap<&Topic, BTreeMap<i64, Option<String>>> = BTreeMap::new();
    for claim in claims {
        by_topic
            .entry(&claim.partition.topic)
            .or_default()
            .insert(claim.id, claim.owner.clone());
    }
    by_topic
        .into_iter()
        .flat_map(|(topic, partitions)| {
            let readers: Vec<String> = members
                .iter()
                .filter(|(_, topics)| topics.contains(topic))
                .map(|(name, _)| name.clone())
                .collect();
            assignment::balance(&partitions, &readers)
        })
        .collect()
}

pub(super) fn json(ids: &[i64]) -> Result<String, Error> {
    serde_json::to_string(ids).map_err(|error| Error::Refused(error.into()))
}
