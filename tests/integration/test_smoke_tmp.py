def test_pg(postgres, lstm_aa_inside, demo, tmp_path):
    r = lstm_aa_inside("extract", "--source", postgres.address(), "--out", tmp_path / "e", env=postgres.env)
    print(r)
    r2 = lstm_aa_inside("extract", "--source", f"csv:{demo}", "--out", tmp_path / "f")
    print(r2)
    import json

    assert (
        json.loads((tmp_path / "e/manifest.json").read_text())["digest"]
        == json.loads((tmp_path / "f/manifest.json").read_text())["digest"]
    )


def test_a(artifacts):
    print(artifacts)
