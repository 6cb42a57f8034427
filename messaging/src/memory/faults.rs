//! Faults, on demand or at random.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mainstay_clock::IdGenerator;

use super::notifier::Notifier;
use crate::{Error, Group, Message, Partition, broker::partitioner::murmur2};

type Predicate = Box<dyn Fn(&Message) -> bool + Send>;

/// Faults of a [`Broker`](super::Broker). They last until [`heal`](Self::heal), except those that
/// happen once.
pub struct Faults {
    plan: Mutex<Plan>,
    ids: Arc<dyn IdGenerator>,
    notifier: Arc<Notifier>,
}

#[derive(Default)]
struct Plan {
    outage: bool,
    refuse: Vec<Predicate>,
    lose_answer: Vec<Predicate>,
    lose_message: Vec<Predicate>,
    membership: Vec<Membership>,
    chances: Chances,
    /// Seeds random refusals: a message that was refused must be refused again.
    salt: u64,
}

/// What happens to a membership at the next tick of any member of the group.
pub(super) enum Membership {
    Redeliver(Group),
    Expel(Group, Partition),
}

/// The probability of each fault, in thousandths; default 0.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Chances {
    /// A message is refused, and refused again whenever it is published.
    pub refuse: u16,
    /// A message is stored and its answer lost.
    pub lose_answer: u16,
    /// A message is lost on its way.
    pub lose_message: u16,
    /// A call of publisher or consumer does not reach the broker.
    pub unavailable: u16,
    /// A call of [`Consumer::next`](crate::Consumer::next) finds its partitions assigned anew.
    pub redeliver: u16,
    /// A call of [`Consumer::next`](crate::Consumer::next) finds its membership gone.
    pub expel: u16,
}

/// The cause of an error that was injected.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Injected {
    /// The broker is away.
    #[error("injected: the broker is away")]
    Outage,
    /// The answer, or the message, was lost.
    #[error("injected: no answer")]
    NoAnswer,
    /// The message is refused.
    #[error("injected: refused")]
    Refused,
}

/// The fate of one message.
pub(super) enum Verdict {
    Store,
    Refuse(Error),
    StoreAndLoseAnswer(Error),
    LoseMessage(Error),
}

impl Faults {
    pub(super) fn new(ids: Arc<dyn IdGenerator>, notifier: Arc<Notifier>) -> Self {
        Self {
            plan: Mutex::default(),
            ids,
            notifier,
        }
    }

    /// Refuses the messages for which `when` holds.
    pub fn refuse(&self, when: impl Fn(&Message) -> bool + Send + 'static) {
        self.plan().refuse.push(Box::new(when));
    }

    /// Stores the messages for which `when` holds; their outcome is unknown.
    pub fn lose_answer(&self, when: impl Fn(&Message) -> bool + Send + 'static) {
        self.plan().lose_answer.push(Box::new(when));
    }

    /// Does not store the messages for which `when` holds; their outcome is unknown.
    pub fn lose_message(&self, when: impl Fn(&Message) -> bool + Send + 'static) {
        self.plan().lose_message.push(Box::new(when));
    }

    /// The broker is away: publishing is unknown, consumers get [`Error::Unavailable`]. Leases
    /// continue.
    pub fn outage(&self) {
        self.plan().outage = true;
        self.notifier.notify();
    }

    /// Once: every member of `group` loses its partitions and gets them again from the committed
    /// offset on. Uncommitted records are delivered again.
    pub fn redeliver(&self, group: &Group) {
        self.plan()
            .membership
            .push(Membership::Redeliver(group.clone()));
        self.notifier.notify();
    }

    /// Once: ends the membership of the member of `group` that holds `partition`, without notice.
    pub fn expel(&self, group: &Group, partition: &Partition) {
        self.plan()
            .membership
            .push(Membership::Expel(group.clone(), partition.clone()));
        self.notifier.notify();
    }

    /// From now on faults happen at random, drawn from the broker's id generator.
    pub fn at_random(&self, chances: Chances) {
        let salt = self.ids.random();
        let mut plan = self.plan();
        (plan.chances, plan.salt) = (chances, salt);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        *self.plan() = Plan::default();
        self.notifier.notify();
    }

    /// Whether a call gets through.
    pub(super) fn reach(&self) -> Result<(), Error> {
        let plan = self.plan();
        if plan.outage || self.draws(plan.chances.unavailable) {
            return Err(outage());
        }
        Ok(())
    }

    pub(super) fn verdict(&self, message: &Message) -> Verdict {
        let plan = self.plan();
        let any = |predicates: &[Predicate]| predicates.iter().any(|when| when(message));
        let no_answer = || Error::Unavailable(Injected::NoAnswer.into());
        if any(&plan.refuse) || plan.refuses_at_random(message) {
            Verdict::Refuse(Error::Refused(Injected::Refused.into()))
        } else if any(&plan.lose_answer) || self.draws(plan.chances.lose_answer) {
            Verdict::StoreAndLoseAnswer(no_answer())
        } else if any(&plan.lose_message) || self.draws(plan.chances.lose_message) {
            Verdict::LoseMessage(no_answer())
        } else {
            Verdict::Store
        }
    }

    /// The faults of memberships that were requested since the last call.
    pub(super) fn memberships(&self) -> Vec<Membership> {
        std::mem::take(&mut self.plan().membership)
    }

    /// Whether a member has a fault at random: a redelivery, the end of its membership.
    pub(super) fn draw_member_fault(&self) -> (bool, bool) {
        let chances = self.plan().chances;
        (self.draws(chances.redeliver), self.draws(chances.expel))
    }

    /// Draws nothing at probability 0, so that a run without faults consumes no randomness.
    fn draws(&self, per_mille: u16) -> bool {
        per_mille > 0 && self.ids.random() % 1000 < u64::from(per_mille)
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    fn refuses_at_random(&self, message: &Message) -> bool {
        let mut seed = self.salt.to_le_bytes().to_vec();
        seed.extend_from_slice(message.id.as_str().as_bytes());
        self.chances.refuse > 0 && murmur2(&seed) % 1000 < u32::from(self.chances.refuse)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.plan();
        f.debug_struct("Faults")
            .field("outage", &plan.outage)
            .field("chances", &plan.chances)
            .finish_non_exhaustive()
    }
}

pub(super) fn outage() -> Error {
    Error::Unavailable(Injected::Outage.into())
}
