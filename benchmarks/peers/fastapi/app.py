"""Items API the usual FastAPI way: async SQLAlchemy + asyncpg, cashews cache, limits limiter."""

import os
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated

from cashews import cache
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import String, Text, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.exceptions import HTTPException as StarletteHTTPException

LIST_TOTAL = os.environ.get("LIST_TOTAL", "0") == "1"
RATE_LIMIT = int(os.environ.get("RATE_LIMIT", "1000000000"))
LIMITER = os.environ.get("LIMITER", "limits")
CACHE_SECONDS = 300

engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://", 1), pool_size=20
)
Session = async_sessionmaker(engine, expire_on_commit=False)
cache.setup(os.environ["REDIS_URL"])


def utcnow():
    return datetime.now(UTC).replace(tzinfo=None)


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    description: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)


class ItemIn(BaseModel):
    name: str = Field(min_length=1, max_length=100)
    description: str | None = None


class ItemOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    description: str | None
    created_at: datetime
    updated_at: datetime


class ItemPage(BaseModel):
    items: list[ItemOut]
    page: int
    page_size: int
    total: int | None = None


async def get_session():
    async with Session() as session:
        yield session


Db = Annotated[AsyncSession, Depends(get_session)]


@asynccontextmanager
async def lifespan(app):
    yield
    await cache.close()
    await engine.dispose()


app = FastAPI(title="Items", lifespan=lifespan)


def error(status, message):
    return JSONResponse({"message": message, "status": status}, status)


@app.exception_handler(StarletteHTTPException)
async def on_http_error(request, exc):
    return error(exc.status_code, str(exc.detail))


@app.exception_handler(RequestValidationError)
async def on_validation_error(request, exc):
    return error(422, "; ".join(f"{e['loc'][-1]}: {e['msg']}" for e in exc.errors()))


if LIMITER == "slowapi":
    from slowapi import Limiter
    from slowapi.errors import RateLimitExceeded
    from slowapi.middleware import SlowAPIASGIMiddleware
    from slowapi.util import get_remote_address

    app.state.limiter = Limiter(
        key_func=get_remote_address,
        application_limits=[f"{RATE_LIMIT}/minute"],
        storage_uri=os.environ["REDIS_URL"],
        strategy="fixed-window",
    )
    app.add_middleware(SlowAPIASGIMiddleware)

    @app.exception_handler(RateLimitExceeded)
    def on_rate_limit(request, exc):
        return error(429, f"Rate limit exceeded: {exc.detail}")

    dependencies = []
else:
    # What slowapi is built on, without blocking the loop: the asyncio half of `limits`.
    from limits import RateLimitItemPerMinute
    from limits.aio.storage import RedisStorage
    from limits.aio.strategies import FixedWindowRateLimiter

    window = FixedWindowRateLimiter(
        RedisStorage("async+" + os.environ["REDIS_URL"], implementation="redispy")
    )
    per_minute = RateLimitItemPerMinute(RATE_LIMIT)

    async def count_request(request: Request):
        if not await window.hit(per_minute, request.client.host):
            raise HTTPException(429, "Rate limit exceeded")

    dependencies = [Depends(count_request)]


def cache_key(item_id):
    return f"item:{item_id}"


async def get_or_404(db, item_id):
    item = await db.get(Item, item_id)
    if item is None:
        raise HTTPException(404, "Item not found")
    return item


@app.get("/api/items/", dependencies=dependencies, response_model_exclude_none=not LIST_TOTAL)
async def list_items(
    db: Db,
    page: Annotated[int, Query(ge=1)] = 1,
    page_size: Annotated[int, Query(ge=1, le=100)] = 20,
) -> ItemPage:
    query = select(Item).order_by(Item.id).limit(page_size).offset((page - 1) * page_size)
    items = (await db.scalars(query)).all()
    total = await db.scalar(select(func.count()).select_from(Item)) if LIST_TOTAL else None
    return ItemPage(items=items, page=page, page_size=page_size, total=total)


@app.get("/api/items/{item_id}", dependencies=dependencies, response_model=ItemOut)
async def get_item(item_id: int, db: Db):
    body = await cache.get(cache_key(item_id))
    if body is None:
        body = ItemOut.model_validate(await get_or_404(db, item_id)).model_dump_json()
        await cache.set(cache_key(item_id), body, expire=CACHE_SECONDS)
    return Response(body, media_type="application/json")


@app.post("/api/items/", dependencies=dependencies, status_code=201)
async def create_item(data: ItemIn, db: Db) -> ItemOut:
    item = Item(**data.model_dump())
    db.add(item)
    await db.commit()
    return item


@app.put("/api/items/{item_id}", dependencies=dependencies)
async def update_item(item_id: int, data: ItemIn, db: Db) -> ItemOut:
    item = await get_or_404(db, item_id)
    item.name = data.name
    item.description = data.description
    item.updated_at = utcnow()
    await db.commit()
    await cache.delete(cache_key(item_id))
    return item


@app.delete("/api/items/{item_id}", dependencies=dependencies, status_code=204)
async def delete_item(item_id: int, db: Db):
    await db.delete(await get_or_404(db, item_id))
    await db.commit()
    await cache.delete(cache_key(item_id))
