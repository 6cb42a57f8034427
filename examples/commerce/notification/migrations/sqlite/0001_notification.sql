-- Whom to tell, and how: as the identity service says it.
CREATE TABLE {ns}contacts (
    user_id      TEXT PRIMARY KEY,
    email        TEXT NOT NULL,
    phone        TEXT,
    display_name TEXT NOT NULL,
    locale       TEXT NOT NULL,
    channels     TEXT NOT NULL,     -- such as 'email,sms'
    version      INTEGER NOT NULL   -- of the last UserChanged; 0 = a seed
) STRICT, WITHOUT ROWID;

-- What a user asked for here; it goes before the contact's.
CREATE TABLE {ns}preferences (
    user_id  TEXT PRIMARY KEY,
    channels TEXT NOT NULL,
    locale   TEXT                   -- none = the contact's
) STRICT, WITHOUT ROWID;

-- Whose an order is. News may come before its OrderConfirmed, from another topic.
CREATE TABLE {ns}orders (
    order_id    TEXT PRIMARY KEY,
    customer_id TEXT,               -- none = not confirmed yet
    currency    TEXT,
    early       TEXT NOT NULL       -- news that came before, one JSON object a line
) STRICT, WITHOUT ROWID;

-- At most one per event and channel.
CREATE TABLE {ns}notifications (
    event_id   TEXT NOT NULL,
    channel    TEXT NOT NULL,       -- 'email', 'sms'
    user_id    TEXT NOT NULL,
    order_id   TEXT NOT NULL,
    news       TEXT NOT NULL,       -- such as 'confirmed'
    recipient  TEXT NOT NULL,
    subject    TEXT NOT NULL,
    body       TEXT NOT NULL,
    created_at INTEGER NOT NULL,    -- microseconds since 1970, as all times here
    delivery   INTEGER NOT NULL,    -- grows with each resend, from 1
    due_at     INTEGER,             -- none = that delivery is over
    attempts   INTEGER NOT NULL,    -- failed ones of that delivery
    sent_at    INTEGER,             -- of the last delivery that the sink took
    error      TEXT,                -- of the last attempt, if it failed
    PRIMARY KEY (event_id, channel)
) STRICT;
CREATE INDEX {prefix}notifications_of_user ON {prefix}notifications (user_id, event_id);
CREATE INDEX {prefix}notifications_due ON {prefix}notifications (due_at) WHERE due_at IS NOT NULL;

-- Seed: the 50 customers of the shop. Every fifth reads German.
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
INSERT INTO {ns}contacts (user_id, email, phone, display_name, locale, channels, version)
SELECT printf('cust-%03d', i), printf('cust-%03d@customers.example', i), printf('+4930%07d', i), printf('Customer %d', i),
       CASE WHEN i % 5 = 0 THEN 'de' ELSE 'en' END, 'email', 0
FROM n;
