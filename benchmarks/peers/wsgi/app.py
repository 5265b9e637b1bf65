"""Not an application: the floor of the same work in one Python WSGI callable.

No framework, no ORM, no client library over Redis: prepared SQL through psycopg2, RESP bytes
written to a socket and read by hiredis, rate count and cache read in one round trip. Nobody
should write a service like this; it says how far any Python one is from what the work costs.
"""

import os
import socket
import threading
import time
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import hiredis
import orjson
import psycopg2

RATE_LIMIT = int(os.environ.get("RATE_LIMIT", "1000000000"))
LIST_TOTAL = os.environ.get("LIST_TOTAL", "0") == "1"
DSN = os.environ["DATABASE_URL"]
REDIS = urlsplit(os.environ["REDIS_URL"])
CACHE_SECONDS = b"300"
WINDOW = 60
COLUMNS = "id, name, description, created_at, updated_at"
PREPARE = f"""
PREPARE one (int) AS SELECT {COLUMNS} FROM items WHERE id = $1;
PREPARE page (int, int) AS SELECT {COLUMNS} FROM items ORDER BY id LIMIT $1 OFFSET $2;
PREPARE total AS SELECT count(*) FROM items;
PREPARE ins (text, text, timestamp) AS INSERT INTO items
    (name, description, created_at, updated_at) VALUES ($1, $2, $3, $3) RETURNING {COLUMNS};
PREPARE upd (int, text, text, timestamp) AS UPDATE items
    SET name = $2, description = $3, updated_at = $4 WHERE id = $1 RETURNING {COLUMNS};
PREPARE del (int) AS DELETE FROM items WHERE id = $1;
"""

pack = hiredis.pack_command
local = threading.local()


def connect():
    """One PostgreSQL and one Redis connection for the calling thread."""
    pg = psycopg2.connect(DSN)
    pg.autocommit = True
    local.cursor = pg.cursor()
    local.cursor.execute(PREPARE)
    local.pg = pg
    sock = socket.create_connection((REDIS.hostname, REDIS.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    local.sock = sock
    local.reader = hiredis.Reader()
    redis_call(pack((b"AUTH", (REDIS.password or "").encode())), 1)
    redis_call(pack((b"SELECT", REDIS.path.lstrip("/").encode() or b"0")), 1)


def redis_call(packet, replies):
    """Send raw RESP, return that many replies."""
    local.sock.sendall(packet)
    reader, results = local.reader, []
    while len(results) < replies:
        reply = reader.gets()
        if reply is False:
            reader.feed(local.sock.recv(65536))
        elif isinstance(reply, hiredis.ReplyError):
            raise reply
        else:
            results.append(reply)
    return results


windows = {}  # address -> (minute, RESP of its INCR)


def count_packet(address):
    """RESP that counts one request, and how many replies it brings before the count."""
    minute = int(time.time()) // WINDOW
    known = windows.get(address)
    if known is not None and known[0] == minute:
        return known[1], 0
    if len(windows) > 10000:
        windows.clear()
    key = b"rate:%s:%d" % (address.encode(), minute)
    incr = pack((b"INCR", key))
    windows[address] = (minute, incr)
    # First seen by this process in this minute: make the counter, with its end, before counting.
    return pack((b"SET", key, b"0", b"EX", b"%d" % WINDOW, b"NX")) + incr, 1


JSON = ("Content-Type", "application/json")


def row_json(row):
    return {
        "id": row[0],
        "name": row[1],
        "description": row[2],
        "created_at": row[3],
        "updated_at": row[4],
    }


def send(start_response, status, body):
    start_response(status, [JSON, ("Content-Length", str(len(body)))])
    return [body]


def error(start_response, status, message):
    body = orjson.dumps({"message": message, "status": int(status[:3])})
    return send(start_response, status, body)


def read_item(environ):
    """The validated body, or a message."""
    try:
        data = orjson.loads(environ["wsgi.input"].read())
    except orjson.JSONDecodeError:
        return None, "Invalid JSON"
    if not isinstance(data, dict):
        return None, "An object is required"
    name, description = data.get("name"), data.get("description")
    if not isinstance(name, str) or not 1 <= len(name) <= 100:
        return None, "name: 1 to 100 characters required"
    if description is not None and not isinstance(description, str):
        return None, "description: a string required"
    return (name, description), None


def app(environ, start_response):
    if not hasattr(local, "pg"):
        connect()
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    if not path.startswith("/api/items/"):
        return error(start_response, "404 Not Found", "Not found")
    tail = path[11:]
    count, extra = count_packet(environ["REMOTE_ADDR"])

    if tail and method == "GET":
        if not tail.isdecimal() or len(tail) > 9:
            return error(start_response, "404 Not Found", "Item not found")
        key = b"item:" + tail.encode()
        used, body = redis_call(count + pack((b"GET", key)), extra + 2)[extra:]
        if used > RATE_LIMIT:
            return error(start_response, "429 Too Many Requests", "Rate limit exceeded")
        if body is None:
            local.cursor.execute("EXECUTE one (%s)", (int(tail),))
            row = local.cursor.fetchone()
            if row is None:
                return error(start_response, "404 Not Found", "Item not found")
            body = orjson.dumps(row_json(row))
            redis_call(pack((b"SET", key, body, b"EX", CACHE_SECONDS)), 1)
        return send(start_response, "200 OK", body)

    if redis_call(count, extra + 1)[extra] > RATE_LIMIT:
        return error(start_response, "429 Too Many Requests", "Rate limit exceeded")
    if not tail:
        if method == "GET":
            return get_page(environ, start_response)
        if method == "POST":
            return post_item(environ, start_response)
    elif not tail.isdecimal() or len(tail) > 9:
        return error(start_response, "404 Not Found", "Item not found")
    elif method == "PUT":
        return put_item(environ, start_response, tail)
    elif method == "DELETE":
        return delete_item(start_response, tail)
    return error(start_response, "405 Method Not Allowed", "Method not allowed")


def get_page(environ, start_response):
    query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
    page, page_size = query.get("page", "1"), query.get("page_size", "20")
    if not (page.isdecimal() and page_size.isdecimal()):
        return error(start_response, "400 Bad Request", "page, page_size: integers required")
    page, page_size = int(page), int(page_size)
    if page < 1 or not 1 <= page_size <= 100:
        return error(start_response, "400 Bad Request", "page, page_size: out of range")
    local.cursor.execute("EXECUTE page (%s, %s)", (page_size, (page - 1) * page_size))
    rows = [row_json(row) for row in local.cursor.fetchall()]
    result = {"items": rows, "page": page, "page_size": page_size}
    if LIST_TOTAL:
        local.cursor.execute("EXECUTE total")
        result["total"] = local.cursor.fetchone()[0]
    return send(start_response, "200 OK", orjson.dumps(result))


def utcnow():
    return datetime.now(UTC).replace(tzinfo=None)


def post_item(environ, start_response):
    item, message = read_item(environ)
    if item is None:
        return error(start_response, "422 Unprocessable Content", message)
    local.cursor.execute("EXECUTE ins (%s, %s, %s)", (*item, utcnow()))
    return send(start_response, "201 Created", orjson.dumps(row_json(local.cursor.fetchone())))


def put_item(environ, start_response, tail):
    item, message = read_item(environ)
    if item is None:
        return error(start_response, "422 Unprocessable Content", message)
    local.cursor.execute("EXECUTE upd (%s, %s, %s, %s)", (int(tail), *item, utcnow()))
    row = local.cursor.fetchone()
    if row is None:
        return error(start_response, "404 Not Found", "Item not found")
    redis_call(pack((b"DEL", b"item:" + tail.encode())), 1)
    return send(start_response, "200 OK", orjson.dumps(row_json(row)))


def delete_item(start_response, tail):
    local.cursor.execute("EXECUTE del (%s)", (int(tail),))
    if local.cursor.rowcount == 0:
        return error(start_response, "404 Not Found", "Item not found")
    redis_call(pack((b"DEL", b"item:" + tail.encode())), 1)
    start_response("204 No Content", [])
    return [b""]
