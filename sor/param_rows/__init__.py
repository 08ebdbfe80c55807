"""The rows of the definition table, one file for each idea; `sor.param_table` lists the files."""
