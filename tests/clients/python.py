"""Goes through the sandbox with Mailchimp's official Python client, unchanged but for the host.

Arguments: base URL, API key, audience id.
"""

import hashlib
import json
import sys
import time

import mailchimp_marketing
from mailchimp_marketing.api_client import ApiClientError

base_url, api_key, audience = sys.argv[1:4]
client = mailchimp_marketing.Client()
client.set_config({"api_key": api_key})
client.api_client.host = base_url  # The one difference.


def refused(status, title, call, *arguments, **options):
    """Calls and expects this refusal; the client hands problems on as text."""
    try:
        call(*arguments, **options)
    except ApiClientError as error:
        problem = json.loads(error.text)
        assert (error.status_code, problem["title"]) == (status, title), error.text
        return problem
    raise AssertionError(f"{call.__name__} should have been refused with {title}")


def hash_of(email):
    return hashlib.md5(email.lower().encode()).hexdigest()


assert client.ping.get() == {"health_status": "Everything's Chimpy!"}
assert client.root.get_root()["account_id"]
assert client.lists.get_all_lists()["lists"][0]["id"] == audience
assert client.lists.get_list(audience)["stats"]["member_count"] == 0

category = client.lists.create_list_interest_category(audience, {"title": "Topics", "type": "checkboxes"})
interest = client.lists.create_interest_category_interest(audience, category["id"], {"name": "Finance"})
assert client.lists.list_interest_category_interests(audience, category["id"])["total_items"] == 1
field = client.lists.add_list_merge_field(audience, {"name": "Organisation", "tag": "ORG", "type": "text"})
assert client.lists.get_list_merge_fields(audience, count=100)["total_items"] == 5

ada = "Ada@town.example.org"
added = client.lists.add_list_member(audience, {
    "email_address": ada, "status": "subscribed", "tags": ["Donor"],
    "merge_fields": {"FNAME": "Ada", "ORG": "LPSA"}, "interests": {interest["id"]: True},
})
assert added["id"] == hash_of(ada) and added["interests"] == {interest["id"]: True}, added
assert client.lists.get_list_member(audience, ada)["contact_id"] == added["contact_id"]
changed = client.lists.update_list_member(audience, added["id"], {"merge_fields": {"FNAME": "Augusta"}})
assert changed["full_name"] == "Augusta" and changed["status"] == "subscribed"
grace = {"email_address": "grace@town.example.org", "status_if_new": "pending"}
assert client.lists.set_list_member(audience, hash_of(grace["email_address"]), grace)["status"] == "pending"
tags = {"tags": [{"name": "Board", "status": "active"}, {"name": "Donor", "status": "inactive"}], "is_syncing": True}
assert client.lists.update_list_member_tags(audience, added["id"], tags).status_code == 204
assert [tag["name"] for tag in client.lists.get_list_member_tags(audience, added["id"])["tags"]] == ["Board"]
board = client.lists.tag_search(audience, name="board")["tags"][0]
both = {"members_to_add": [ada, "grace@town.example.org"]}
assert client.lists.batch_segment_members(both, audience, board["id"])["total_added"] == 1
assert client.lists.get_segment_members_list(audience, board["id"])["total_items"] == 1

members = [{"email_address": f"bulk{n}@town.example.org", "status": "subscribed"} for n in range(20)]
bulk = client.lists.batch_list_members(audience, {"members": members + [{"email_address": ada}]})
assert (bulk["total_created"], bulk["errors"][0]["error_code"]) == (20, "ERROR_CONTACT_EXISTS"), bulk["errors"]
page = client.lists.get_list_members_info(
    audience, count=5, offset=5, fields=["members.email_address", "total_items"],
    sort_field="last_changed", sort_dir="DESC", status="subscribed",
)
assert (len(page["members"]), page["total_items"], list(page["members"][0])) == (5, 21, ["email_address"]), page

assert client.lists.delete_list_member(audience, added["id"]).status_code == 204
assert client.lists.get_list_member(audience, added["id"])["status"] == "archived"
refused(405, "Method Not Allowed", client.lists.delete_list_member, audience, added["id"])
assert client.lists.set_list_member(audience, added["id"], {"status": "subscribed"})["status"] == "subscribed"
assert client.lists.delete_list_member_permanent(audience, added["id"]).status_code == 204

again = {"email_address": ada, "status": "subscribed"}
problem = refused(400, "Forgotten Email Not Subscribed", client.lists.add_list_member, audience, again)
assert problem["status"] == 400 and problem["instance"]
fake = {"email_address": "foo@example.com", "status": "subscribed"}
refused(400, "Invalid Resource", client.lists.add_list_member, audience, fake)
refused(400, "Member Exists", client.lists.add_list_member, audience, members[0])
refused(404, "Resource Not Found", client.lists.get_list_member, audience, hash_of("nobody@town.example.org"))

path = f"/lists/{audience}/members/{hash_of('bulk0@town.example.org')}"
operations = [
    {"method": "PATCH", "path": path, "operation_id": "one", "body": json.dumps({"merge_fields": {"FNAME": "B"}})},
    {"method": "GET", "path": "/lists/nowhere", "operation_id": "two"},
]
batch = client.batches.start({"operations": operations})
deadline = time.monotonic() + 60
while batch["status"] != "finished":
    assert time.monotonic() < deadline, batch
    batch = client.batches.status(batch["id"])
assert (batch["finished_operations"], batch["errored_operations"]) == (2, 1) and batch["response_body_url"], batch
assert client.batches.list()["total_items"] == 1

hook = {"url": "https://hooks.alliance.test/secret", "events": {"subscribe": True}, "sources": {"user": True}}
assert client.lists.create_list_webhook(audience, hook)["signing_secret"]
assert client.lists.get_list_webhooks(audience)["total_items"] == 1

stranger = mailchimp_marketing.Client()
stranger.set_config({"api_key": "wrong-us1"})
stranger.api_client.host = base_url
refused(401, "API Key Invalid", stranger.ping.get)
print("the official Python client is content")
