"""The content of `X-Pagination` for pages by number, with the field names of flask-smorest."""


def paginate(total: int, page: int, page_size: int) -> dict[str, int]:
    """Return what is told of a page of a list whose total is known."""
    last = -(-total // page_size)
    found = {"total": total, "total_pages": last}
    if total:
        found |= {"first_page": 1, "last_page": last}
    elif page > 1:
        # The way back from a page that is beyond the end; the only page of no rows is the first.
        found |= {"first_page": 1, "last_page": 1}
    if page <= last:
        found["page"] = page
        if page > 1:
            found["previous_page"] = page - 1
        if page < last:
            found["next_page"] = page + 1
    return found


def paginate_uncounted(
    page: int, page_size: int, *, is_empty: bool, has_more: bool
) -> dict[str, int]:
    """Return what is told of a page of a list that was not counted: no total, and no last page."""
    found = {"page_size": page_size, "first_page": 1}
    if not is_empty or page == 1:
        found["page"] = page
        if page > 1:
            found["previous_page"] = page - 1
        if has_more:
            found["next_page"] = page + 1
    return found
