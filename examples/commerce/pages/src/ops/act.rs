//! What acts of operators have in common: a name, a reason, and a confirmation.

use axum::{
    http::header::SET_COOKIE,
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Pages,
    page::Refusal,
    visit::{OPERATOR, Visit, cookie},
};

/// How an operator signs an act.
#[derive(Deserialize, Debug)]
pub(crate) struct Signed {
    operator: String,
    pub(crate) reason: String,
    /// The box that says that the operator means it.
    #[serde(default)]
    sure: Option<String>,
}

impl Signed {
    /// Refuses an act without a name, a reason or the confirmation.
    fn check(&self) -> Result<(), Refusal> {
        if self.operator.trim().is_empty() || self.reason.trim().is_empty() {
            return Err(Refusal::invalid("an act needs your name and a reason"));
        }
        if self.sure.is_none() {
            let why = "tick the box that says that you mean it: nothing was done";
            return Err(Refusal::invalid(why));
        }
        Ok(())
    }

    /// Sends the act in the operator's name, and shows `then`.
    pub(crate) async fn act(
        &self,
        pages: &Pages,
        visit: Visit,
        path: &str,
        body: &Value,
        then: &str,
    ) -> Result<Response, Refusal> {
        self.check()?;
        let visit = visit.signed(self.operator.trim());
        pages.api.post(&visit, path, None, body).await?;
        let name = cookie(OPERATOR, self.operator.trim());
        // The browser keeps the name for the next act.
        let remembered = AppendHeaders([(SET_COOKIE, name)]);
        Ok((remembered, Redirect::to(then)).into_response())
    }
}

/// A form of an act: `fields` are its own, `button` says what it does.
pub(crate) fn form(
    visit: &Visit,
    action: &str,
    what: &str,
    button: &str,
    fields: &Markup,
) -> Markup {
    html! {
        form.act method="post" action=(action) {
            strong.wide { (what) }
            (fields)
            (signature(visit))
            button.back { (button) }
        }
    }
}

/// What signs an act.
pub(super) fn signature(visit: &Visit) -> Markup {
    html! {
        label { "Your name" input.short name="operator" required maxlength="80" autocomplete="username" value=(visit.operator()); }
        label.wide { "Reason (it is recorded)" input name="reason" required maxlength="200"; }
        label.sure { input type="checkbox" name="sure" value="yes" required; "I mean it" }
    }
}
