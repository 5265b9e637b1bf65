import pytest, json


def test_it(make_app, postgres_url):
    fast = make_app(plugins=["items"], DATABASE_URL=postgres_url)
    slow = make_app(plugins=["items"], DATABASE_URL=postgres_url, RESOURCES_FAST=False)
    f, s = fast.test_client(), slow.test_client()
    import pegboard.stages.runner as r

    def ask(m, p, **k):
        out = []
        for c, a in ((f, fast), (s, slow)):
            x = c.open(p, method=m, **k)
            body = x.get_data()
            out.append(
                (
                    x.status,
                    sorted((n, v) for n, v in x.headers if n not in ("X-Request-ID", "Date")),
                    body,
                )
            )
        return out

    for m, p, k in [
        ("POST", "/api/items/", dict(json={"name": "a"})),
        (
            "POST",
            "/api/items/",
            dict(json={"name": " b\u00e9 ", "description": "x\ny \u2028 \x7f"}),
        ),
        ("GET", "/api/items/", {}),
        ("GET", "/api/items/?page=1&page_size=1", {}),
        ("GET", "/api/items/?after=&page_size=1", {}),
        ("GET", "/api/items/?sort=-name,id&q=a", {}),
        ("GET", "/api/items/?name=a", {}),
        ("GET", "/api/items/?name[in]=a,b", {}),
        ("GET", "/api/items/?name%5Bne%5D=a", {}),
        ("GET", "/api/items/?page=0", {}),
        ("HEAD", "/api/items/", {}),
        ("PUT", "/api/items/1", dict(json={"name": "c"})),
        ("PUT", "/api/items/1", dict(json={"name": "c"})),
        ("PUT", "/api/items/99", dict(json={"name": "c"})),
        ("PATCH", "/api/items/1", dict(json={"name": "c2"})),
        ("PATCH", "/api/items/1", dict(json={"description": None})),
        ("GET", "/api/items/1", {}),
        ("DELETE", "/api/items/2", {}),
        ("DELETE", "/api/items/2", {}),
        ("POST", "/api/items/", dict(json={"name": ""})),
        ("POST", "/api/items/", dict(data=b"{}{", content_type="application/json")),
    ]:
        a, b = ask(m, p, **k)
        print(m, p, a[0], a[2][:150], "SAME" if a == b else f"\n   {a}\n   {b}")
    from pegboard.stages.routing import Matches

    st = fast.wsgi_app.app
    print([(k[1], type(m.fast_path).__name__) for k, m in st._matches._routes.items()])
