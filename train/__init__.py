"""Fine-tune a target model on what `datakit` exports: a thin layer over TRL that knows nothing of datakit's code."""
