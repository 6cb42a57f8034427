//! The texts of all statements, rendered once.

use mainstay_database::{Namespace, sqlite::statement};
use sqlx::SqlStr;

#[derive(Debug)]
pub(super) struct Statements {
    pub(super) identify: SqlStr,
    pub(super) identity: SqlStr,
    pub(super) create_topic: SqlStr,
    pub(super) highest_partition: SqlStr,
    pub(super) partitions: SqlStr,
    pub(super) append: SqlStr,
    pub(super) advance: SqlStr,
    pub(super) ends: SqlStr,
    pub(super) fetch: SqlStr,
    pub(super) commit: SqlStr,
    pub(super) progress: SqlStr,
    pub(super) prune: SqlStr,
    pub(super) raise_first: SqlStr,
    pub(super) renew: SqlStr,
    pub(super) expire: SqlStr,
    pub(super) free: SqlStr,
    pub(super) admit_partitions: SqlStr,
    pub(super) note_subscription: SqlStr,
    pub(super) members: SqlStr,
    pub(super) claims: SqlStr,
    pub(super) claim: SqlStr,
    pub(super) release: SqlStr,
    pub(super) leave: SqlStr,
}

impl Statements {
    #[expect(clippy::too_many_lines, reason = "one statement after the other")]
    pub(super) fn new(namespace: &Namespace) -> Self {
        let sql = |text| statement(namespace, text);
        Self {
            identify: sql(
                "INSERT INTO {ns}broker_identity (one, id) VALUES (1, $1) ON CONFLICT DO NOTHING",
            ),
            identity: sql("SELECT id FROM {ns}broker_identity"),
            create_topic: sql(
                "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < $2)
                 INSERT INTO {ns}broker_partitions (topic, number) SELECT $1, n FROM numbers
                 WHERE NOT EXISTS (SELECT 1 FROM {ns}broker_partitions WHERE topic = $1)",
            ),
            highest_partition: sql("SELECT coalesce(max(id), 0) FROM {ns}broker_partitions"),
            partitions: sql("SELECT id FROM {ns}broker_partitions WHERE topic = $1 ORDER BY number"),
            // $1: where in the blob $2 each record's head begins. A head: id in 19 digits, then in
            // 10 digits each the envelope's length (it lies behind the head), and where key and
            // payload begin and their lengths plus 1; 0 is NULL. In ascending order of ids, so that
            // appends go to the end of one partition after the other.
            append: sql(
                "INSERT INTO {ns}broker_records (id, key, envelope, payload, appended_at)
                 SELECT CAST(substr($2, value, 19) AS INTEGER),
                        CAST(substr($2, CAST(substr($2, value + 29, 10) AS INTEGER),
                                    nullif(CAST(substr($2, value + 39, 10) AS INTEGER), 0) - 1) AS TEXT),
                        CAST(substr($2, value + 69, CAST(substr($2, value + 19, 10) AS INTEGER)) AS TEXT),
                        substr($2, CAST(substr($2, value + 49, 10) AS INTEGER),
                               nullif(CAST(substr($2, value + 59, 10) AS INTEGER), 0) - 1),
                        $3
                 FROM json_each($1)",
            ),
            // $1: pairs of partition and number of records. Returns each partition's new end.
            advance: sql(
                "UPDATE {ns}broker_partitions AS p SET next_offset = next_offset + (a.value ->> 1)
                 FROM json_each($1) a WHERE p.id = a.value ->> 0 RETURNING id, next_offset",
            ),
            // Of partitions that somebody reads.
            ends: sql(
                "SELECT id, next_offset FROM {ns}broker_partitions
                 WHERE id IN (SELECT partition FROM {ns}broker_claims WHERE member IS NOT NULL)",
            ),
            // Each row of $1: partition, first offset, offset behind the last. Offsets have no
            // gaps: a range is a limit. The few pages of the partitions tell which records there
            // are; to look for each in its own place would read as many pages as partitions.
            fetch: sql(
                "SELECT r.id, r.key, r.envelope, r.payload FROM json_each($1) w
                 CROSS JOIN {ns}broker_partitions p ON p.id = w.value ->> 0 AND p.next_offset > w.value ->> 1
                 CROSS JOIN {ns}broker_records r ON r.id >= ((w.value ->> 0) << 40) + (w.value ->> 1) AND r.id < ((w.value ->> 0) << 40) + (w.value ->> 2)",
            ),
            // Each row of $3: partition, epoch, offset. An offset never moves back; a former owner
            // has an older epoch.
            commit: sql(
                "UPDATE {ns}broker_claims SET committed = max(committed, c.value ->> 2) FROM json_each($3) c
                 WHERE grp = $1 AND partition = c.value ->> 0 AND member = $2 AND epoch = c.value ->> 1
                 RETURNING partition",
            ),
            progress: sql(
                "SELECT p.topic, p.number, c.committed, p.next_offset FROM {ns}broker_claims c
                 JOIN {ns}broker_partitions p ON p.id = c.partition WHERE c.grp = $1 ORDER BY p.topic, p.number",
            ),
            // Only from the front of a partition, up to the first record that is to be kept: wall
            // clocks may go back, and a log with a hole in it would stop its readers. A group that
            // has subscribed to a topic and has not seen its partitions yet has read nothing.
            prune: sql(
                "WITH done AS (
                   SELECT partition << 40 AS start, (partition << 40) + min(committed) AS stop
                   FROM {ns}broker_claims d WHERE NOT EXISTS (
                     SELECT 1 FROM {ns}broker_partitions p JOIN {ns}broker_subscriptions s ON s.topic = p.topic
                     WHERE p.id = d.partition AND NOT EXISTS (
                       SELECT 1 FROM {ns}broker_claims c WHERE c.grp = s.grp AND c.partition = p.id))
                   GROUP BY partition),
                 old AS MATERIALIZED (
                   SELECT start, coalesce((SELECT r.id FROM {ns}broker_records r WHERE r.id >= start AND r.id < stop
                                           AND r.appended_at >= $1 ORDER BY r.id LIMIT 1), stop) AS stop FROM done)
                 DELETE FROM {ns}broker_records WHERE id IN (
                   SELECT r.id FROM old CROSS JOIN {ns}broker_records r ON r.id >= old.start AND r.id < old.stop
                   LIMIT $2 + 0)",
            ),
            raise_first: sql(
                "UPDATE {ns}broker_partitions AS p SET first_offset = coalesce(
                   (SELECT min(r.id) FROM {ns}broker_records r
                    WHERE r.id >= p.id << 40 AND r.id < (p.id + 1) << 40) & ((1 << 40) - 1),
                   next_offset)",
            ),
            renew: sql(
                "INSERT INTO {ns}broker_members (grp, member, boot_id, lease_until, topics) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (grp, member) DO UPDATE SET boot_id = excluded.boot_id, lease_until = excluded.lease_until",
            ),
            expire: sql(
                "DELETE FROM {ns}broker_members WHERE grp = $1 AND member <> $2 AND (boot_id <> $3 OR lease_until <= $4)",
            ),
            free: sql(
                "UPDATE {ns}broker_claims SET member = NULL WHERE grp = $1 AND member IS NOT NULL
                 AND member NOT IN (SELECT member FROM {ns}broker_members WHERE grp = $1)",
            ),
            // A group without an offset in a partition starts at the log's beginning or, with $3,
            // at its end. If it has subscribed to the topic before, the partition came later, and
            // it starts at the beginning in any case.
            admit_partitions: sql(
                "INSERT INTO {ns}broker_claims (grp, partition, committed)
                 SELECT $1, id, CASE WHEN $3 AND NOT EXISTS (
                   SELECT 1 FROM {ns}broker_subscriptions s WHERE s.grp = $1 AND s.topic = p.topic
                 ) THEN next_offset ELSE first_offset END FROM {ns}broker_partitions p
                 WHERE topic IN (SELECT value FROM json_each($2)) ON CONFLICT DO NOTHING",
            ),
            note_subscription: sql(
                "INSERT INTO {ns}broker_subscriptions (grp, topic)
                 SELECT $1, value FROM json_each($2) WHERE true ON CONFLICT DO NOTHING",
            ),
            // And whether the member is dead.
            members: sql(
                "SELECT member, topics, member <> $2 AND (boot_id <> $3 OR lease_until <= $4) FROM {ns}broker_members
                 WHERE grp = $1 ORDER BY member",
            ),
            claims: sql(
                "SELECT c.partition, p.topic, p.number, c.member, c.epoch, c.committed, p.first_offset, p.next_offset
                 FROM {ns}broker_claims c JOIN {ns}broker_partitions p ON p.id = c.partition
                 WHERE c.grp = $1 ORDER BY p.topic, p.number",
            ),
            claim: sql(
                "UPDATE {ns}broker_claims SET member = $2, epoch = epoch + 1
                 WHERE grp = $1 AND member IS NULL AND partition IN (SELECT value FROM json_each($3))",
            ),
            release: sql(
                "UPDATE {ns}broker_claims SET member = NULL
                 WHERE grp = $1 AND member = $2 AND partition IN (SELECT value FROM json_each($3))",
            ),
            leave: sql("DELETE FROM {ns}broker_members WHERE grp = $1 AND member = $2"),
        }
    }
}
