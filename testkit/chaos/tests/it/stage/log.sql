-- What groups stored, in the order in which they did.
CREATE TABLE chaos_offsets (
    seq       INTEGER PRIMARY KEY,
    grp       TEXT NOT NULL,
    partition INTEGER NOT NULL,
    committed INTEGER NOT NULL
) STRICT;
CREATE TRIGGER chaos_note_offset AFTER UPDATE ON broker_claims WHEN new.committed IS NOT old.committed BEGIN
    INSERT INTO chaos_offsets (grp, partition, committed) VALUES (new.grp, new.partition, new.committed);
END;

-- Who read what, in the order in which it was taken.
CREATE TABLE chaos_takings (
    seq       INTEGER PRIMARY KEY,
    grp       TEXT NOT NULL,
    partition INTEGER NOT NULL,
    epoch     INTEGER NOT NULL,
    member    TEXT NOT NULL
) STRICT;
CREATE TRIGGER chaos_note_taking AFTER UPDATE ON broker_claims
    WHEN new.member IS NOT NULL AND (new.member IS NOT old.member OR new.epoch IS NOT old.epoch) BEGIN
    INSERT INTO chaos_takings (grp, partition, epoch, member) VALUES (new.grp, new.partition, new.epoch, new.member);
END;
