//! `commerce reset`: starts over. It deletes what the shop has written in its data directory, and
//! nothing else there.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use commerce_chassis::{ON_A_SERVER, Storage};

use crate::{
    cli::ResetArguments,
    config::SERVICES,
    error::Failure,
    operator::{confirm, storage},
    output,
    serve::{ACTS, Absence},
};

/// Databases beside those of the services: the broker's log, and the payment provider's books.
const OTHERS: [&str; 2] = ["broker", "psp"];
/// What SQLite writes beside a database.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", "-journal"];
/// The folder of sent mails and texts, a file each.
const MAILS: &str = "mails";

pub(crate) fn run(arguments: ResetArguments) -> Result<ExitCode, Failure> {
    let storage = storage(arguments.storage)?;
    if ON_A_SERVER {
        return Err(on_a_server(&storage));
    }
    reset(&storage, arguments.yes)?;
    Ok(ExitCode::SUCCESS)
}

fn reset(storage: &Storage, is_confirmed: bool) -> Result<(), Failure> {
    let data = storage.data();
    let nothing = format!("there is no shop in {}", data.display());
    if !data.is_dir() || written(storage)?.is_empty() {
        return output::print(&nothing);
    }
    let running = || {
        let line = format!("a process serves {}: stop it first", data.display());
        Failure::plain(line).unanswered()
    };
    // No process starts on the directory while a person thinks, or while half of it is deleted.
    let _absence = Absence::hold(data)?.ok_or_else(running)?;
    let files = written(storage)?;
    let what = format!(
        "Delete the shop in {}: {} files",
        data.display(),
        files.len()
    );
    if !is_confirmed {
        confirm(&what)?;
    }
    for file in &files {
        delete(file)?;
    }
    // Other files of that folder keep it, and so does a link.
    let mails = data.join(MAILS);
    match fs::remove_dir(&mails) {
        Err(error) if !is_kept(&error) => return Err(cannot_delete(&mails, &error)),
        _ => {}
    }
    let deleted = format!("deleted {} files of {}", files.len(), data.display());
    output::print(&deleted)
}

/// The files that the shop has written. The lock of the directory stays: others may wait for it.
fn written(storage: &Storage) -> Result<Vec<PathBuf>, Failure> {
    let data = storage.data();
    // The log first: without it, what an interrupted reset leaves does not start.
    let databases = OTHERS.iter().chain(&SERVICES);
    let databases = databases.map(|name| storage.database(name));
    let databases = databases.flat_map(|name| BESIDE.map(|end| format!("{name}{end}")));
    let named = databases.chain([ACTS.to_owned()]);
    let named = named.map(|name| data.join(name));
    let mut files: Vec<PathBuf> = named.filter(|path| path.is_file()).collect();
    let mails = data.join(MAILS);
    if mails.is_symlink() {
        return Ok(files);
    }
    let wrong = |error| Failure::new(format!("{} cannot be read", mails.display()), &error);
    let entries = match fs::read_dir(&mails) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        opened => opened.map_err(wrong)?,
    };
    for entry in entries {
        let path = entry.map_err(wrong)?.path();
        if is_mail(&path) && path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

/// Whether the notification service gives its mails such names: `EVENT.CHANNEL.NUMBER.txt`.
fn is_mail(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let mut parts = name.unwrap_or_default().rsplit('.');
    parts.next() == Some("txt")
        && parts
            .next()
            .is_some_and(|number| number.parse::<u64>().is_ok())
        && matches!(parts.next(), Some("email" | "sms"))
}

fn delete(file: &Path) -> Result<(), Failure> {
    fs::remove_file(file).map_err(|error| cannot_delete(file, &error))
}

fn cannot_delete(what: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{} cannot be deleted", what.display()), error)
}

fn is_kept(error: &io::Error) -> bool {
    use io::ErrorKind::{DirectoryNotEmpty, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | DirectoryNotEmpty | NotADirectory)
}

/// What an administrator has to run: databases of a server may have other readers, and backups.
fn on_a_server(storage: &Storage) -> Failure {
    let names = SERVICES.iter().chain(&["psp"]);
    let drops = names.map(|name| format!("DROP DATABASE IF EXISTS {}", storage.database(name)));
    let drops: Vec<_> = drops.collect();
    Failure::plain(format!(
        "reset deletes no data on servers: stop the shop, run {}; and delete the log {}",
        drops.join("; "),
        storage.log()
    ))
    .unanswered()
}
