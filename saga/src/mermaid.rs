//! A definition as a Mermaid diagram.

use std::fmt::Write as _;

use crate::definition::{Role, Shape, StepShape};

/// Steps from left to right, the pivot as a hexagon, undos as dotted arrows back. Steps of a group
/// stand in a box.
pub(crate) fn flowchart(shape: &Shape) -> String {
    let mut text = format!(
        "flowchart LR\n  start([{} v{}])\n",
        shape.name, shape.version
    );
    let mut add = |line: String| {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "  {line}");
    };
    for stage in 0..shape.stages() {
        let steps: Vec<_> = shape.stage(stage).collect();
        let is_group = steps.len() > 1;
        if is_group {
            add(format!("subgraph group{stage} [in parallel]"));
        }
        for (place, step) in &steps {
            add(node(*place, step));
        }
        if is_group {
            add("end".to_owned());
        }
    }
    let mut from = vec!["start".to_owned()];
    for stage in 0..shape.stages() {
        let to: Vec<String> = (shape.stage(stage))
            .map(|(place, _)| format!("s{place}"))
            .collect();
        add(format!("{} --> {}", from.join(" & "), to.join(" & ")));
        from = to;
    }
    add(format!("{} --> done([done])", from.join(" & ")));
    let mut undone = Vec::new();
    for (place, step) in shape.steps.iter().enumerate() {
        if let Some(undo) = step.undo {
            add(format!("u{place}[/{undo}/]"));
            add(format!("s{place} -. undo .-> u{place}"));
            undone.push(format!("u{place}"));
        }
    }
    if !undone.is_empty() {
        add(format!("{} -.-> undone([undone])", undone.join(" & ")));
    }
    text
}

fn node(place: usize, step: &StepShape) -> String {
    let name = &step.name;
    let label = if step.is_local {
        format!("{name}<br>local")
    } else {
        name.clone()
    };
    match step.role {
        Role::Pivot => format!("s{place}{{{{\"{label}<br>pivot\"}}}}"),
        Role::Compensable | Role::Retriable => format!("s{place}[\"{label}\"]"),
    }
}
