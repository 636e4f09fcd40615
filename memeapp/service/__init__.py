"""The use cases, one file each: classify, label, import and export, train and evaluate."""
