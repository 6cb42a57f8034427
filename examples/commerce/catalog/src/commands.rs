//! Creates and changes products: write side, read side and event, in one transaction.

use std::sync::Arc;

use axum::http::StatusCode;
use commerce_chassis::{Connection, Db, Error, Outbox, Problem, ServiceBuilder};
use commerce_contracts::Sku;
use mainstay_clock::IdGenerator;
use mainstay_database::Transactions as _;
use mainstay_outbox::Outbox as _;

use crate::{
    cache::Cache,
    etag::IfMatch,
    http::{clip, invalid, no_such_product},
    product::{Details, Product, Shown},
    store, view,
};

/// What commands need. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Commands {
    db: Db,
    outbox: Outbox,
    ids: Arc<dyn IdGenerator>,
    cache: Cache,
}

impl Commands {
    pub(crate) fn new(builder: &ServiceBuilder, cache: Cache) -> Self {
        Self {
            db: builder.db().clone(),
            outbox: builder.outbox().clone(),
            ids: Arc::clone(builder.ids()),
            cache,
        }
    }

    /// Creates a product. Reads from this process see it after the answer; other processes
    /// within 200 ms.
    pub(crate) async fn create(&self, sku: Sku, details: Details) -> Result<Shown, Problem> {
        let product = Product {
            id: format!("prod-{}", self.ids.uuid()),
            sku,
            version: 1,
            details: details.check()?,
        };
        let mut tx = self.db.begin().await.map_err(Error::from)?;
        view::lock(&mut tx).await?;
        let category = category(&mut tx, &product.details.category).await?;
        if !store::insert(&mut tx, &product).await? {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "sku-taken",
                "Another product has this SKU",
                format!(
                    "{}: choose another SKU, or change that product",
                    product.sku
                ),
            ));
        }
        let shown = self.write(&mut tx, &product, &category, Vec::new()).await?;
        let version = view::advance(&mut tx).await?;
        self.db.commit(tx).await.map_err(Error::from)?;
        self.cache.advance(version);
        Ok(shown)
    }

    /// Changes a product, if `condition` names the version that there is. A change that changes
    /// nothing is no new version. Reads from this process see it after the
    /// answer; other processes within 200 ms.
    pub(crate) async fn change(
        &self,
        id: &str,
        condition: &IfMatch,
        change: impl FnOnce(&Product) -> Result<Details, Problem>,
    ) -> Result<Shown, Problem> {
        let mut tx = self.db.begin().await.map_err(Error::from)?;
        view::lock(&mut tx).await?;
        let found = store::find(&mut tx, id).await?;
        let mut product = found.ok_or_else(no_such_product)?;
        let shown = view::find(&mut tx, &product.id).await?;
        let shown = shown.ok_or_else(no_such_product)?;
        condition.check(&shown.etag())?;
        let details = change(&product)?.check()?;
        let changed = product.differences(&details);
        if changed.is_empty() {
            return Ok(shown);
        }
        product.version += 1;
        product.details = details;
        let category = category(&mut tx, &product.details.category).await?;
        store::update(&mut tx, &product).await?;
        let shown = self.write(&mut tx, &product, &category, changed).await?;
        let version = view::advance(&mut tx).await?;
        self.db.commit(tx).await.map_err(Error::from)?;
        self.cache.advance(version);
        Ok(shown)
    }

    /// Writes the prices, the read side and the event of a new version.
    async fn write(
        &self,
        tx: &mut Connection,
        product: &Product,
        category: &str,
        changed: Vec<String>,
    ) -> Result<Shown, Error> {
        store::put_prices(tx, product).await?;
        view::put(tx, product, category).await?;
        self.outbox.emit(tx, &product.changed(changed)).await?;
        let shown = view::find(tx, &product.id).await?;
        shown.ok_or(Error::Changed { what: "a product" })
    }
}

async fn category(tx: &mut Connection, slug: &str) -> Result<String, Problem> {
    let unknown = || {
        invalid(
            "unknown-category",
            "There is no such category",
            format!("{:?}", clip(slug)),
        )
    };
    // PostgreSQL refuses a parameter with a NUL.
    if slug.contains('\0') {
        return Err(unknown());
    }
    store::category(tx, slug).await?.ok_or_else(unknown)
}
