// Goes through the sandbox with Mailchimp's official Node client, unchanged but for the host.
//
// Arguments: base URL, API key, audience id.
"use strict";

const assert = require("node:assert");
const crypto = require("node:crypto");
const client = require("@mailchimp/mailchimp_marketing");

const [baseUrl, apiKey, audience] = process.argv.slice(2);
client.setConfig({ apiKey, server: "us1" });
client.basePath = baseUrl; // The one difference.

const hashOf = (email) => crypto.createHash("md5").update(email.toLowerCase()).digest("hex");

async function refused(status, title, call) {
  try {
    await call();
  } catch (error) {
    // Problems arrive as text: the client reads only `application/json`.
    const problem = JSON.parse(error.response.text);
    assert.deepStrictEqual([error.status, problem.title], [status, title]);
    return;
  }
  assert.fail(`should have been refused with ${title}`);
}

async function main() {
  assert.deepStrictEqual(await client.ping.get(), { health_status: "Everything's Chimpy!" });
  assert.strictEqual((await client.lists.getAllLists()).lists[0].id, audience);

  const category = await client.lists.createListInterestCategory(audience, { title: "Sectors", type: "checkboxes" });
  const interest = await client.lists.createInterestCategoryInterest(audience, category.id, { name: "Water" });

  const ada = "ada@river.example.org";
  const added = await client.lists.addListMember(audience, {
    email_address: ada,
    status: "subscribed",
    merge_fields: { FNAME: "Ada" },
    interests: { [interest.id]: true },
  });
  assert.strictEqual(added.id, hashOf(ada));
  assert.strictEqual((await client.lists.getListMember(audience, added.id)).full_name, "Ada");
  const changed = await client.lists.updateListMember(audience, added.id, { merge_fields: { LNAME: "Lovelace" } });
  assert.strictEqual(changed.full_name, "Ada Lovelace");
  await client.lists.updateListMemberTags(audience, added.id, { tags: [{ name: "Node", status: "active" }] });
  assert.strictEqual((await client.lists.getListMemberTags(audience, added.id)).tags[0].name, "Node");

  const members = Array.from({ length: 20 }, (_, n) => ({
    email_address: `bulk${n}@river.example.org`,
    status: "subscribed",
  }));
  const bulk = await client.lists.batchListMembers(audience, { members: [...members, { email_address: ada }] });
  assert.deepStrictEqual([bulk.total_created, bulk.errors[0].error_code], [20, "ERROR_CONTACT_EXISTS"]);
  const page = await client.lists.getListMembersInfo(audience, { count: 5, sortField: "last_changed", sortDir: "DESC" });
  assert.strictEqual(page.members.length, 5);

  await client.lists.deleteListMember(audience, added.id);
  assert.strictEqual((await client.lists.getListMember(audience, added.id)).status, "archived");
  await refused(405, "Method Not Allowed", () => client.lists.deleteListMember(audience, added.id));
  await client.lists.deleteListMemberPermanent(audience, added.id);
  const again = { email_address: ada, status: "subscribed" };
  await refused(400, "Forgotten Email Not Subscribed", () => client.lists.addListMember(audience, again));
  await refused(400, "Member Exists", () => client.lists.addListMember(audience, members[0]));
  await refused(404, "Resource Not Found", () => client.lists.getListMember(audience, hashOf("nobody")));

  const operations = [{ method: "GET", path: `/lists/${audience}/members`, operation_id: "one" }];
  let batch = await client.batches.start({ operations });
  const deadline = Date.now() + 60_000;
  while (batch.status !== "finished") {
    assert.ok(Date.now() < deadline, JSON.stringify(batch));
    batch = await client.batches.status(batch.id);
  }
  assert.ok(batch.response_body_url);

  client.setConfig({ apiKey: "wrong-us1", server: "us1" });
  await refused(401, "API Key Invalid", () => client.ping.get());
  console.log("the official Node client is content");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
