"""What repeats the three papers: tables, analyses, the benchmark, realism."""
