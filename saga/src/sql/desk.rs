//! What operators see.

macro_rules! implement_desk {
    ($store:ident, $driver:ty, $classify:path) => {
        impl $store {
            /// A statement with the conditions of a query, and no others: each finds its index.
            fn matching(head: &sqlx::SqlStr, query: &crate::Query) -> sqlx::QueryBuilder<$driver> {
                let mut sql = sqlx::QueryBuilder::new(head.as_str());
                if let Some(saga) = &query.saga {
                    sql.push(" AND r.saga = ").push_bind(saga.clone());
                }
                if let Some(key) = &query.key {
                    sql.push(" AND r.business_key = ").push_bind(key.clone());
                }
                if let Some(status) = query.status {
                    sql.push(" AND r.status = ").push_bind(status.as_str());
                }
                if let Some(step) = &query.step {
                    sql.push(" AND r.step = ").push_bind(step.clone());
                }
                match query.is_overdue {
                    // As in the predicate of the index.
                    Some(true) => sql.push(" AND r.is_overdue"),
                    Some(false) => sql.push(" AND NOT r.is_overdue"),
                    None => &mut sql,
                };
                sql
            }

            fn listing(
                &self,
                query: &crate::Query,
                before: Option<&crate::RunId>,
                limit: u32,
            ) -> sqlx::QueryBuilder<$driver> {
                let mut sql = Self::matching(&self.sql.list, query);
                if let Some(before) = before {
                    let before = before.as_str().to_owned();
                    sql.push(" AND r.run < ").push_bind(before);
                }
                sql.push(" ORDER BY r.run DESC LIMIT ");
                sql.push_bind(i64::from(limit));
                sql
            }
        }

        #[async_trait::async_trait]
        impl crate::store::DeskStore for $store {
            async fn list(
                &self,
                query: &crate::Query,
                before: Option<&crate::RunId>,
                limit: u32,
            ) -> Result<Vec<crate::operator::RunSummary>, crate::Error> {
                let rows = (self.listing(query, before, limit).build())
                    .persistent(false)
                    .fetch_all(self.reader())
                    .await
                    .map_err($classify)?;
                rows.iter().map(crate::sql::listed_of).collect()
            }

            async fn count(&self, query: &crate::Query, cap: u32) -> Result<u64, crate::Error> {
                let mut sql = Self::matching(&self.sql.count, query);
                sql.push(" LIMIT ").push_bind(i64::from(cap)).push(") AS t");
                let count: i64 = (sql.build_query_scalar().persistent(false))
                    .fetch_one(self.reader())
                    .await
                    .map_err($classify)?;
                Ok(u64::try_from(count).unwrap_or(0))
            }

            async fn show(
                &self,
                run: &crate::RunId,
            ) -> Result<Option<crate::store::ShownRun>, crate::Error> {
                let row = sqlx::query::<$driver>(self.sql.show.clone())
                    .persistent(self.persists())
                    .bind(run.as_str())
                    .fetch_optional(self.reader())
                    .await
                    .map_err($classify)?;
                let Some(row) = row else { return Ok(None) };
                Ok(Some(crate::store::ShownRun {
                    summary: crate::sql::summary_of(&row)?,
                    stored: crate::sql::stored_of(&row)?,
                    journal: crate::sql::journal_of(&row)?,
                }))
            }

            async fn live(
                &self,
                saga: &str,
                cap: u32,
            ) -> Result<Vec<crate::store::LiveDefinition>, crate::Error> {
                let rows = sqlx::query::<$driver>(self.sql.live.clone())
                    .persistent(self.persists())
                    .bind(saga)
                    .bind(i64::from(cap))
                    .fetch_all(self.reader())
                    .await
                    .map_err($classify)?;
                rows.iter().map(crate::sql::live_of).collect()
            }
        }
    };
}
pub(crate) use implement_desk;
