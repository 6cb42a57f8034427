-- Whom to tell, and how: as the identity service says it.
CREATE TABLE {ns}contacts (
    user_id      TEXT PRIMARY KEY,
    email        TEXT NOT NULL,
    phone        TEXT,
    display_name TEXT NOT NULL,
    locale       TEXT NOT NULL,
    channels     TEXT NOT NULL,     -- such as 'email,sms'
    version      BIGINT NOT NULL    -- of the last UserChanged; 0 = a seed
);

-- What a user asked for here; it goes before the contact's.
CREATE TABLE {ns}preferences (
    user_id  TEXT PRIMARY KEY,
    channels TEXT NOT NULL,
    locale   TEXT                   -- none = the contact's
);

-- Whose an order is. News may come before its OrderConfirmed, from another topic.
CREATE TABLE {ns}orders (
    order_id    TEXT PRIMARY KEY,
    customer_id TEXT,               -- none = not confirmed yet
    currency    TEXT,
    early       TEXT NOT NULL       -- news that came before, one JSON object a line
);

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
    created_at BIGINT NOT NULL,     -- microseconds since 1970, as all times here
    delivery   BIGINT NOT NULL,     -- grows with each resend, from 1
    due_at     BIGINT,              -- none = that delivery is over
    attempts   BIGINT NOT NULL,     -- failed ones of that delivery
    sent_at    BIGINT,              -- of the last delivery that the sink took
    error      TEXT,                -- of the last attempt, if it failed
    PRIMARY KEY (event_id, channel)
);
CREATE INDEX {prefix}notifications_of_user ON {ns}notifications (user_id, event_id);
CREATE INDEX {prefix}notifications_due ON {ns}notifications (due_at) WHERE due_at IS NOT NULL;

-- Seed: the 50 customers of the shop. Every fifth reads German.
INSERT INTO {ns}contacts (user_id, email, phone, display_name, locale, channels, version)
SELECT 'cust-' || lpad(i::text, 3, '0'), 'cust-' || lpad(i::text, 3, '0') || '@customers.example', '+4930' || lpad(i::text, 7, '0'), 'Customer ' || i,
       CASE WHEN i % 5 = 0 THEN 'de' ELSE 'en' END, 'email', 0
FROM generate_series(1, 50) AS i;
