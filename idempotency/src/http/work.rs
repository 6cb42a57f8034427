//! Which functions make the effect of a request.

use super::Problem;
use crate::Answer;

/// Marks work that takes no state.
#[derive(Debug)]
#[non_exhaustive]
pub struct WithoutState;

/// Marks work that takes the state given with `run_with`.
#[derive(Debug)]
#[non_exhaustive]
pub struct WithState;

/// A function that makes a request's effect in a transaction.
///
/// Implemented for `async fn(&mut C, &T) -> Result<Answer, Problem>` and `async fn(&mut C, &T, &S) ->
/// Result<Answer, Problem>`, and for async closures of these shapes that capture nothing: what the
/// work needs comes as state. `M` tells the two shapes apart and is always inferred.
///
/// The lifetime is that of the arguments. It stands on the trait because the future borrows them,
/// which a plain bound on `Fn` cannot say.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not make the effect of a request `{T}` on the connection `{C}` with the state `{S}`",
    note = "it is `async fn(&mut {C}, &{T}) -> Result<Answer, Problem>`",
    note = "or takes the state as a third argument: `async fn(&mut {C}, &{T}, &{S}) -> Result<Answer, Problem>`",
    note = "its future must be `Send`"
)]
pub trait Work<'a, C: 'a, T: 'a, S: 'a, M>: Send + Sync {
    /// What the function returns.
    type Future: Future<Output = Result<Answer, Problem>> + Send + 'a;

    /// Calls the function.
    fn call(&self, connection: &'a mut C, body: &'a T, state: &'a S) -> Self::Future;
}

impl<'a, C: 'a, T: 'a, S: 'a, F, Fut> Work<'a, C, T, S, WithoutState> for F
where
    F: Fn(&'a mut C, &'a T) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Answer, Problem>> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, connection: &'a mut C, body: &'a T, _: &'a S) -> Fut {
        self(connection, body)
    }
}

impl<'a, C: 'a, T: 'a, S: 'a, F, Fut> Work<'a, C, T, S, WithState> for F
where
    F: Fn(&'a mut C, &'a T, &'a S) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Answer, Problem>> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, connection: &'a mut C, body: &'a T, state: &'a S) -> Fut {
        self(connection, body, state)
    }
}
