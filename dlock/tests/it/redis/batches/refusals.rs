//! What the server refuses or has lost fails, or is sent again, without harm to the others of its call.

use super::*;

#[tokio::test]
async fn a_name_that_may_not_be_touched_fails_alone() {
    let Some((server, mut connection, store)) = opened().await else {
        return;
    };
    overlap(&store).await;
    let limit = ["SETUSER", "default", "resetkeys", "~dlock:ours*"];
    tell(&mut connection, "ACL", &limit).await;
    let names = ["ours 1", "theirs", "ours 2"];
    let answers = join_all(names.map(|name| store.acquire(claim(name, "me")))).await;
    for (name, answer) in names.into_iter().zip(answers) {
        if name == "theirs" {
            assert!(matches!(answer, Err(Error::Refused(_))), "{answer:?}");
        } else {
            token(answer);
        }
    }
    server.close().await.unwrap();
}

#[tokio::test]
async fn a_name_that_may_not_be_touched_fails_alone_after_the_scripts_were_lost() {
    let Some((server, mut connection, store)) = opened().await else {
        return;
    };
    overlap(&store).await;
    let limit = ["SETUSER", "default", "resetkeys", "~dlock:ours*"];
    tell(&mut connection, "ACL", &limit).await;
    tell(&mut connection, "SCRIPT", &["FLUSH"]).await;
    let names = ["ours 1", "theirs", "ours 2"];
    let answers = join_all(names.map(|name| store.acquire(claim(name, "me")))).await;
    assert!(is_refused(&answers[1]), "{answers:?}");
    for answer in [0, 2] {
        assert!(is_granted(&answers[answer]), "{answers:?}");
    }
    server.close().await.unwrap();
}

#[tokio::test]
async fn a_call_whose_script_was_lost_is_sent_again() {
    let Some((server, mut connection, store)) = opened().await else {
        return;
    };
    for names in [&["a", "b", "c"][..], &["d"]] {
        overlap(&store).await;
        tell(&mut connection, "SCRIPT", &["FLUSH"]).await;
        let acquiring = names.iter().map(|name| store.acquire(claim(name, "me")));
        for acquired in join_all(acquiring).await {
            token(acquired);
        }
    }
    server.close().await.unwrap();
}

#[tokio::test]
async fn a_key_that_holds_something_else_is_refused_alone_and_stays_as_it_is() {
    let Some((server, mut connection, store)) = opened().await else {
        return;
    };
    tell(&mut connection, "HSET", &["dlock:theirs", "f", "v"]).await;
    let held = |name| Holding { name, owner: "me" };
    let refused = store.acquire(claim("theirs", "me")).await;
    assert!(is_refused(&refused), "{refused:?}");
    overlap(&store).await;
    let names = ["ours 1", "theirs", "ours 2"];
    let answers = join_all(names.map(|name| store.acquire(claim(name, "me")))).await;
    assert!(is_refused(&answers[1]), "{answers:?}");
    assert!(
        is_granted(&answers[0]) && is_granted(&answers[2]),
        "{answers:?}"
    );
    let renewed = store.renew(&names.map(held), LONG).await;
    assert_eq!(renewed.unwrap(), [true, false, true]);
    let answers = join_all(names.map(|name| store.release(held(name)))).await;
    assert!(matches!(answers[1], Err(Error::Refused(_))), "{answers:?}");
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    let mut read = driver::cmd("HGET");
    let read = read.arg("dlock:theirs").arg("f");
    let value: String = read.query_async(&mut connection).await.unwrap();
    assert_eq!(value, "v");
    server.close().await.unwrap();
}

#[tokio::test]
async fn a_key_that_holds_another_text_is_refused_and_stays_as_it_is() {
    let Some((server, mut connection, store)) = opened().await else {
        return;
    };
    for theirs in ["a text", "42", "1234567890123456789", ""] {
        tell(&mut connection, "SET", &["dlock:theirs", theirs]).await;
        let refused = store.acquire(claim("theirs", "me")).await;
        assert!(is_refused(&refused), "{theirs:?}: {refused:?}");
        let mut read = driver::cmd("GET");
        let read = read.arg("dlock:theirs");
        let value: String = read.query_async(&mut connection).await.unwrap();
        assert_eq!(value, theirs);
    }
    server.close().await.unwrap();
}

#[tokio::test]
async fn a_lease_that_may_not_be_renewed_ends_alone() {
    let Some((server, mut connection, store)) = opened().await else {
        return;
    };
    let names = ["ours 1", "theirs", "ours 2"];
    for name in names {
        token(store.acquire(claim(name, "me")).await);
    }
    let held = names.map(|name| Holding { name, owner: "me" });
    let limit = ["SETUSER", "default", "resetkeys", "~dlock:ours*"];
    tell(&mut connection, "ACL", &limit).await;
    for _ in 0..2 {
        assert_eq!(store.renew(&held, LONG).await.unwrap(), [true, false, true]);
        tell(&mut connection, "SCRIPT", &["FLUSH"]).await;
    }
    // Of all, it is the server that refuses.
    tell(&mut connection, "ACL", &["SETUSER", "default", "-set"]).await;
    let over = Holding {
        name: "ours 3",
        owner: "me",
    };
    let refused = store.renew(&[held[0], over, held[2]], LONG).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    server.close().await.unwrap();
}

#[tokio::test]
async fn a_server_without_memory_renews_leases() {
    let Some((server, mut connection, store)) = opened().await else {
        return;
    };
    let held = ["a", "b"].map(|name| Holding { name, owner: "me" });
    for holding in held {
        token(store.acquire(claim(holding.name, "me")).await);
    }
    tell(&mut connection, "CONFIG", &["SET", "maxmemory", "1"]).await;
    assert_eq!(store.renew(&held, LONG * 2).await.unwrap(), [true, true]);
    let answer = store.acquire(claim("a", "other")).await;
    assert!(
        matches!(answer, Ok(Acquired::Held { remaining }) if remaining > LONG),
        "{answer:?}"
    );
    server.close().await.unwrap();
}

#[tokio::test]
async fn a_release_that_cannot_be_written_fails_alone_and_removes_no_lock() {
    let Some((server, mut connection, store)) = opened().await else {
        return;
    };
    let held = ["a", "free"].map(|name| Holding { name, owner: "me" });
    let mut user = async |rule| tell(&mut connection, "ACL", &["SETUSER", "default", rule]).await;
    let first = token(store.acquire(claim("a", "me")).await);
    overlap(&store).await;
    user("-set").await;
    let answers = join_all(held.map(|held| store.release(held))).await;
    assert!(matches!(answers[0], Err(Error::Refused(_))), "{answers:?}");
    assert!(answers[1].is_ok(), "{answers:?}");
    user("+set").await;
    assert_eq!(token(store.acquire(claim("a", "me")).await), first);

    // Without memory it would be removed, and that is forbidden.
    user("-del").await;
    tell(&mut connection, "CONFIG", &["SET", "maxmemory", "1"]).await;
    overlap_of_releases(&store).await;
    let answers = join_all(held.map(|held| store.release(held))).await;
    assert!(matches!(answers[0], Err(Error::Refused(_))), "{answers:?}");
    assert!(answers[1].is_ok(), "{answers:?}");
    server.close().await.unwrap();
}

#[tokio::test]
async fn a_token_to_which_scripts_cannot_count_is_refused_alone() {
    let Some((server, mut connection, store)) = opened().await else {
        return;
    };
    let (last, next) = ("9007199254740990", 9_007_199_254_740_991);
    tell(&mut connection, "SET", &["dlock:a", last]).await;
    assert_eq!(token(store.acquire(claim("a", "me")).await).as_i64(), next);
    let held = Holding {
        name: "a",
        owner: "me",
    };
    store.release(held).await.unwrap();
    overlap(&store).await;
    let names = ["a", "b"];
    let answers = join_all(names.map(|name| store.acquire(claim(name, "me")))).await;
    assert!(is_refused(&answers[0]), "{answers:?}");
    assert!(is_granted(&answers[1]), "{answers:?}");
    let above = Claim {
        above: FencingToken::new(i64::MAX),
        ..claim("c", "me")
    };
    let refused = store.acquire(above).await;
    assert!(is_refused(&refused), "{refused:?}");
    assert!(is_free(&store, "c").await);
    server.close().await.unwrap();
}

#[tokio::test]
async fn a_server_without_memory_frees_locks_and_grants_none() {
    let Some((server, mut connection, store)) = opened().await else {
        return;
    };
    let mut limit =
        async |bytes| tell(&mut connection, "CONFIG", &["SET", "maxmemory", bytes]).await;
    let first = token(store.acquire(claim("a", "one")).await);
    overlap(&store).await;
    limit("1").await;
    let release = store.release(Holding {
        name: "a",
        owner: "one",
    });
    // The acquisition comes first, and takes nothing from the release.
    let (refused, released) = join(store.acquire(claim("b", "one")), release).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    released.unwrap();
    limit("0").await;
    let next = token(store.acquire(claim("a", "other")).await);
    assert!(first < next);
    server.close().await.unwrap();
}

#[tokio::test]
async fn a_server_that_runs_a_script_of_others_for_long_is_an_outage() {
    let Some((server, mut connection, store)) = opened().await else {
        return;
    };
    let held = ["a", "b"].map(|name| Holding { name, owner: "me" });
    for holding in held {
        token(store.acquire(claim(holding.name, "me")).await);
    }
    overlap(&store).await;
    let threshold = ["SET", "busy-reply-threshold", "1"];
    tell(&mut connection, "CONFIG", &threshold).await;
    let mut other = super::connection(server.url()).await;
    let endless = tokio::spawn(async move {
        let mut endless = driver::cmd("EVAL");
        let endless = endless.arg("while true do end").arg(0);
        endless.exec_async(&mut other).await
    });
    let is_busy = async || {
        let ping = driver::cmd("PING")
            .exec_async(&mut connection.clone())
            .await;
        ping.is_err_and(|error| error.code() == Some("BUSY"))
    };
    while !is_busy().await {}
    for answer in join_all(["c", "d"].map(|name| store.acquire(claim(name, "me")))).await {
        assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
    }
    let renewed = store.renew(&held, LONG).await;
    assert!(matches!(renewed, Err(Error::Unavailable(_))), "{renewed:?}");
    tell(&mut connection, "SCRIPT", &["KILL"]).await;
    endless.await.unwrap().unwrap_err();
    assert_eq!(store.renew(&held, LONG).await.unwrap(), [true, true]);
    server.close().await.unwrap();
}
