// The messages of a saga over three services; examples and tests include this file.

mainstay_saga::messages! {
    "stock-commands" { ReserveStock { order: String }, ReleaseStock { order: String, hold: Option<String> } }
    "stock" { StockReserved { hold: String }, OutOfStock {}, StockReleased {} }
    "payment-commands" {
        Authorize { order: String }, Void { order: String },
        Pay { order: String }
    }
    "payments" { Authorized { id: String }, Declined { is_retryable: bool }, Voided {}, Paid { receipt: String } }
    "shipping-commands" { Ship { order: String } }
    "shipping" { Shipped {} }
}

/// The input of the saga.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Order {
    pub(crate) id: String,
}

impl mainstay_saga::Command for ReserveStock {
    type Done = StockReserved;
    type Refused = OutOfStock;
}

impl mainstay_saga::Compensable for ReserveStock {
    type Undo = ReleaseStock;
    type Undone = StockReleased;

    fn undo(&self, outcome: mainstay_saga::Outcome<'_, StockReserved>) -> ReleaseStock {
        ReleaseStock {
            order: self.order.clone(),
            hold: outcome.known().map(|reserved| reserved.hold.clone()),
        }
    }
}

impl mainstay_saga::Command for Authorize {
    type Done = Authorized;
    type Refused = Declined;

    fn retry(refused: &Declined, attempt: u32) -> Option<std::time::Duration> {
        (refused.is_retryable && attempt < 3).then_some(std::time::Duration::from_secs(5))
    }
}

impl mainstay_saga::Compensable for Authorize {
    type Undo = Void;
    type Undone = Voided;

    fn undo(&self, _: mainstay_saga::Outcome<'_, Authorized>) -> Void {
        Void {
            order: self.order.clone(),
        }
    }
}

impl mainstay_saga::Command for Pay {
    type Done = Paid;
    type Refused = Declined;

    fn retry(refused: &Declined, attempt: u32) -> Option<std::time::Duration> {
        (refused.is_retryable && attempt < 3).then_some(std::time::Duration::from_secs(5))
    }
}

impl mainstay_saga::Command for Ship {
    type Done = Shipped;
    type Refused = mainstay_saga::Never;
}
