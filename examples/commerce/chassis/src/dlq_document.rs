//! The OpenAPI document of the routes that `mainstay_dlq` gives to every service with an inbox.

use axum::http::Method;
use utoipa::openapi::{
    Content, HttpMethod, KnownFormat, ObjectBuilder, OpenApi, Required, ResponseBuilder,
    ResponsesBuilder, SchemaFormat, Type,
    path::{OperationBuilder, ParameterBuilder, ParameterIn},
    request_body::RequestBodyBuilder,
};

use crate::{Refused, any_json};

/// One route: whether it reads or acts, its path behind `/api/v1/dlq/SERVICE`, its name, its summary.
struct Route(HttpMethod, &'static str, &'static str, &'static str);

const ROUTES: [Route; 14] = [
    Route(
        HttpMethod::Get,
        "/groups",
        "groups",
        "Dead letters, grouped by what went wrong",
    ),
    Route(
        HttpMethod::Get,
        "/messages",
        "messages",
        "Dead letters, newest first",
    ),
    Route(
        HttpMethod::Get,
        "/messages/{id}",
        "message",
        "One dead letter with its payload",
    ),
    Route(
        HttpMethod::Post,
        "/messages/{id}/replay",
        "replay",
        "Handles it again",
    ),
    Route(
        HttpMethod::Post,
        "/messages/{id}/discard",
        "discard",
        "Gives it up, with a reason",
    ),
    Route(
        HttpMethod::Post,
        "/messages/{id}/restore",
        "restore",
        "Takes a discard back",
    ),
    Route(
        HttpMethod::Post,
        "/messages/{id}/edit",
        "edit",
        "Stores a corrected revision; a replay tries it",
    ),
    Route(
        HttpMethod::Post,
        "/messages/{id}/dry-run",
        "dry_run",
        "Handles it, and rolls back",
    ),
    Route(
        HttpMethod::Post,
        "/keys/replay",
        "replay_key",
        "Handles all of a key again, in order",
    ),
    Route(
        HttpMethod::Get,
        "/jobs",
        "jobs",
        "Acts on many dead letters, newest first",
    ),
    Route(
        HttpMethod::Post,
        "/jobs",
        "start_job",
        "Acts on many dead letters",
    ),
    Route(
        HttpMethod::Get,
        "/jobs/{id}",
        "job",
        "How far such an act is",
    ),
    Route(
        HttpMethod::Post,
        "/jobs/{id}/cancel",
        "cancel_job",
        "Stops such an act",
    ),
    Route(HttpMethod::Get, "/audit", "audit", "Who did what, and why"),
];

/// The methods and paths behind `/api/v1/dlq/SERVICE`, for whoever stands before the services.
pub fn dead_letter_routes() -> impl Iterator<Item = (Method, &'static str)> {
    ROUTES.iter().map(|Route(method, path, ..)| {
        let reads = matches!(method, HttpMethod::Get);
        (if reads { Method::GET } else { Method::POST }, *path)
    })
}

/// The document of the dead letter queue of `service`.
pub(crate) fn of(service: &str) -> OpenApi {
    let mut document = OpenApi::default();
    for Route(method, path, name, summary) in ROUTES {
        let reads = matches!(method, HttpMethod::Get);
        let answer = ResponseBuilder::new()
            .description("What was found or done")
            .content("application/json", Content::new(Some(any_json())));
        let answers = ResponsesBuilder::new()
            .response("2XX", answer)
            .responses_from_into_responses::<Refused>();
        let mut operation = OperationBuilder::new()
            .operation_id(Some(format!("dlq_{service}_{name}")))
            .tag("dead letters")
            .summary(Some(summary))
            .responses(answers);
        if path.contains("{id}") {
            let id = ParameterBuilder::new()
                .name("id")
                .parameter_in(ParameterIn::Path)
                .required(Required::True);
            operation = operation.parameter(id.schema(Some(number())));
        }
        if !reads {
            let body = Content::new(Some(any_json()));
            let body = RequestBodyBuilder::new().content("application/json", body);
            operation = operation.request_body(Some(body.build()));
        }
        let path = format!("/api/v1/dlq/{service}{path}");
        document
            .paths
            .add_path_operation(path, vec![method], operation);
    }
    document
}

/// What numbers dead letters and jobs.
fn number() -> ObjectBuilder {
    let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(format))
}
