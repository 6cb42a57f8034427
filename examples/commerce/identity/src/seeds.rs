//! The users of a new shop. They share one password, which is a setting and stands in no table.

use commerce_chassis::{Db, Outbox, Result};
use commerce_contracts::{Channel, Role, UserStatus};
use mainstay_database::Transactions as _;
use mainstay_outbox::Outbox as _;

use crate::{store, user::User};

/// The seeded customers: `cust-001@example.com` to `cust-050@example.com`.
pub const CUSTOMERS: usize = 50;
/// The e-mail address of the seeded operator.
pub const OPERATOR: &str = "operator@example.com";

const GIVEN: [&str; 10] = [
    "Ada", "Barbara", "Claude", "Donald", "Edsger", "Frances", "Grace", "Hedy", "Ivan", "Joan",
];
const FAMILY: [&str; 5] = ["Berger", "Fischer", "Keller", "Sommer", "Winter"];

/// Inserts the seeds that are missing, and tells the other services about them.
pub(crate) async fn plant(db: &Db, outbox: &Outbox) -> Result<()> {
    let mut tx = db.begin().await?;
    for user in seeds() {
        if store::insert(&mut tx, &user, None).await? {
            outbox.emit(&mut tx, &user.changed()).await?;
        }
    }
    db.commit(tx).await?;
    Ok(())
}

fn seeds() -> impl Iterator<Item = User> {
    let names = FAMILY
        .iter()
        .flat_map(|family| GIVEN.map(|given| format!("{given} {family}")));
    let customers = names.zip(1_u32..).map(|(name, number)| {
        let id = format!("cust-{number:03}");
        let locale = if number % 3 == 0 { "de" } else { "en" };
        let phone = (number % 5 == 0).then(|| format!("+4930000{number:04}"));
        seed(&id, &name, locale, phone, Role::Customer)
    });
    customers.chain([seed(
        "operator",
        "Olga Operator",
        "en",
        None,
        Role::Operator,
    )])
}

fn seed(id: &str, name: &str, locale: &str, phone: Option<String>, role: Role) -> User {
    let mut channels = vec![Channel::Email];
    channels.extend(phone.is_some().then_some(Channel::Sms));
    User {
        id: id.to_owned(),
        email: format!("{id}@example.com"),
        phone,
        display_name: name.to_owned(),
        locale: locale.to_owned(),
        roles: vec![role],
        channels,
        status: UserStatus::Active,
        version: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_fifty_customers_and_an_operator() {
        let seeds: Vec<_> = seeds().collect();
        assert_eq!(seeds.len(), CUSTOMERS + 1);
        assert_eq!((&*seeds[0].id, &*seeds[49].id), ("cust-001", "cust-050"));
        assert_eq!(
            (&*seeds[50].email, &seeds[50].roles[..]),
            (OPERATOR, &[Role::Operator][..])
        );
    }
}
