//! Mails to a mail server of the test's own.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use commerce_chassis::Remote as _;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::{
    sink::{Delivery, Undelivered},
    smtp::Smtp,
};

/// A mail server that takes mails, and answers recipients as it is told.
#[derive(Clone)]
struct Server {
    url: String,
    mails: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<VecDeque<&'static str>>>,
    /// Commands that begin with the first are answered with the second.
    refused: Arc<Mutex<Option<(&'static str, &'static str)>>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            url: format!("smtp://{}", listener.local_addr().unwrap()),
            mails: Arc::default(),
            answers: Arc::default(),
            refused: Arc::default(),
        };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, serving.clone()));
            }
        });
        server
    }

    fn answer(&self, answer: &'static str) {
        self.answers.lock().unwrap().push_back(answer);
    }

    fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }
}

async fn serve(client: TcpStream, server: Server) {
    let mut client = BufReader::new(client);
    client.write_all(b"220 test\r\n").await.unwrap();
    let (mut line, mut mail) = (String::new(), None::<String>);
    while client.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        let refused = *server.refused.lock().unwrap();
        let refused = refused.filter(|(command, _)| mail.is_none() && line.starts_with(command));
        let answer = match (&mut mail, &*line) {
            (None, _) if let Some((_, answer)) = refused => answer,
            (None, command) if command.starts_with("EHLO") => "250-test\r\n250 AUTH PLAIN\r\n",
            (Some(_), ".\r\n") => {
                server.mails.lock().unwrap().extend(mail.take());
                "250 taken\r\n"
            }
            (Some(mail), part) => {
                mail.push_str(part);
                ""
            }
            (None, "DATA\r\n") => {
                mail = Some(String::new());
                "354 go on\r\n"
            }
            (None, "QUIT\r\n") => "221 bye\r\n",
            (None, command) if command.starts_with("RCPT") => {
                let answer = server.answers.lock().unwrap().pop_front();
                answer.unwrap_or("250 ok\r\n")
            }
            _ => "250 ok\r\n",
        };
        client.write_all(answer.as_bytes()).await.unwrap();
        line.clear();
    }
}

fn delivery(name: &str) -> Delivery {
    Delivery {
        name: name.to_owned(),
        recipient: "ada@customers.example".to_owned(),
        subject: Some("Ihre Bestellung ist bestätigt".to_owned()),
        body: "Guten Tag Ada,\n\nvielen Dank.".to_owned(),
    }
}

#[tokio::test]
async fn a_mail_that_is_sent_again_has_the_same_id() {
    let server = Server::start().await;
    let smtp = Smtp::open(&server.url).unwrap();
    for _ in 0..2 {
        // The first outcome was lost.
        let sent = smtp.call(vec![delivery("e1.email.1")]).await;
        assert_eq!(sent, [Ok(())]);
    }
    let mails = server.mails();
    assert_eq!(mails.len(), 2);
    for mail in &mails {
        assert!(
            mail.contains("Message-ID: <e1.email.1@commerce.example>\r\n"),
            "{mail}"
        );
        assert!(mail.contains("To: ada@customers.example\r\n"), "{mail}");
        assert!(mail.contains("vielen Dank."), "{mail}");
    }
}

#[tokio::test]
async fn a_refused_recipient_is_final_and_anything_else_is_not() {
    let server = Server::start().await;
    let smtp = Smtp::open(&server.url).unwrap();
    server.answer("550 no such mailbox\r\n");
    server.answer("450 try later\r\n");
    let mut outcomes = Vec::new();
    for name in ["e1.email.1", "e2.email.1", "e3.email.1"] {
        outcomes.extend(smtp.call(vec![delivery(name)]).await);
    }
    let [refused, later, sent] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert!(
        matches!(refused, Err(Undelivered::Refused(_))),
        "{refused:?}"
    );
    assert!(matches!(later, Err(Undelivered::Away(_))), "{later:?}");
    assert_eq!(sent, &Ok(()));

    let mut nowhere = delivery("e4.email.1");
    "not an address\r\nBcc: all@customers.example".clone_into(&mut nowhere.recipient);
    let [refused] = &smtp.call(vec![nowhere]).await[..] else {
        panic!("one answer");
    };
    assert!(
        matches!(refused, Err(Undelivered::Refused(_))),
        "{refused:?}"
    );
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn a_server_that_refuses_the_shop_does_not_refuse_the_recipient() {
    let server = Server::start().await;
    let url = server.url.replace("smtp://", "smtp://shop:secret@");
    for (command, answer) in [
        ("AUTH", "535 wrong credentials\r\n"),
        ("MAIL", "530 authentication required\r\n"),
        ("EHLO", "502 not implemented\r\n"),
        ("RCPT", "521 no mail here\r\n"),
    ] {
        *server.refused.lock().unwrap() = Some((command, answer));
        // A connection of its own.
        let smtp = Smtp::open(&url).unwrap();
        let [outcome] = &smtp.call(vec![delivery("e1.email.1")]).await[..] else {
            panic!("one answer");
        };
        let Err(Undelivered::Away(why)) = outcome else {
            panic!("{command}: {outcome:?}");
        };
        assert!(why.contains(&answer[..3]), "{command}: {why}");
    }
    *server.refused.lock().unwrap() = None;
    let smtp = Smtp::open(&url).unwrap();
    assert_eq!(smtp.call(vec![delivery("e1.email.1")]).await, [Ok(())]);
}

#[tokio::test]
async fn a_server_that_does_not_listen_is_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    drop(listener);
    let smtp = Smtp::open(&url).unwrap();
    let [away] = &smtp.call(vec![delivery("e1.email.1")]).await[..] else {
        panic!("one answer");
    };
    assert!(matches!(away, Err(Undelivered::Away(_))), "{away:?}");
}

#[test]
fn a_wrong_url_is_refused_and_its_password_is_not_shown() {
    for url in ["", "mail", "http://user:secret@host", "smtp://user:secret@"] {
        let refused = Smtp::open(url).unwrap_err().to_string();
        assert!(
            refused.contains("smtps://") && !refused.contains("secret"),
            "{refused}"
        );
    }
}
