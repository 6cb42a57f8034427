-- Topics that a group has subscribed to, whether they exist yet or not. A partition that appears in such a topic is read
-- from its beginning, even by a group that starts at the latest record.
CREATE TABLE {ns}broker_subscriptions (
    grp   TEXT NOT NULL,
    topic TEXT NOT NULL,
    PRIMARY KEY (grp, topic)
) STRICT, WITHOUT ROWID;
