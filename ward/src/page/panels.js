// Everything on the page that is text: numbers, alarms, and how the device is.

const ALARM_TEXT = {
  asystole: "ASYSTOLE",
  tachycardia: "TACHYCARDIA",
  bradycardia: "BRADYCARDIA",
  "spo2-low": "SpO\u2082 LOW",
  "lead-off": "LEAD OFF",
};
const ALARM_UNIT = { tachycardia: "/min", bradycardia: "/min", "spo2-low": "%" };
const ALARM_OF = { asystole: "heart", tachycardia: "heart", bradycardia: "heart", "spo2-low": "oxygen" };
const RANK = { high: 3, medium: 2, low: 1 };
const MARK = { high: "!!!", medium: "!!", low: "!" };
const CHANNEL_SHORT = { "ecg-1": "ECG 1", "ecg-2": "ECG 2", pleth: "pleth" };
const CHANNEL_TEXT = { "ecg-1": "ECG 1st lead", "ecg-2": "ECG 2nd lead", pleth: "finger clip" };

export const byId = (id) => document.getElementById(id);

/** An element with attributes and children; text is only ever text. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const shown = new WeakMap();

/** Replaces what is in `place`, if it says something else now. */
function show(place, key, make) {
  const text = JSON.stringify(key);
  if (shown.get(place) === text) return;
  shown.set(place, text);
  place.replaceChildren(...make());
}

export function count(number) {
  return typeof number === "number" ? number.toLocaleString("en").replaceAll(",", "\u202f") : "--";
}

export function duration(ms) {
  if (ms === null || ms === undefined) return "";
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.round(ms / 1000);
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

export function clockTime(unixMs) {
  return new Date(unixMs).toLocaleTimeString("en-GB");
}

function value(number, digits = 0) {
  return typeof number === "number" ? number.toFixed(digits) : "--";
}

/** The big numbers. What is old is dimmed, what is very old is not shown. */
export function numbers(device, state, ageMs) {
  const isGone = state === "lost" || ageMs === null || ageMs > 10_000;
  const numerics = isGone ? null : device?.numerics;
  byId("heart-rate").textContent = value(numerics?.heart_rate_bpm);
  byId("spo2").textContent = value(numerics?.spo2_percent);
  byId("pulse").textContent = value(numerics?.pulse_bpm);
  for (const tile of document.querySelectorAll(".number")) tile.dataset.age = state;
  const alarms = device?.alarms ?? [];
  for (const name of ["heart", "oxygen"]) {
    const tile = document.querySelector(`.number.${name}`);
    const own = alarms.filter((alarm) => ALARM_OF[alarm.kind] === name);
    own.sort((a, b) => RANK[b.priority] - RANK[a.priority]);
    if (own.length && !isGone) tile.dataset.alarm = own[0].priority;
    else delete tile.dataset.alarm;
  }
  const quality = numerics?.quality ?? null;
  show(byId("quality"), [quality, numerics?.leads_off], () =>
    (quality ?? []).map((percent, lead) => {
      const bars = element("span", { class: "bars", "data-poor": percent < 50 ? "" : null });
      for (let n = 0; n < 4; n += 1) bars.append(element("i", { class: percent > n * 25 ? "on" : null }));
      return element("span", { title: `Signal quality of lead ${lead + 1}: ${percent} of 100` }, `Lead ${lead + 1}`, bars, `${percent}`);
    }),
  );
}

function alarmText(alarm, device) {
  let text = ALARM_TEXT[alarm.kind] ?? alarm.kind;
  if (alarm.kind === "lead-off") {
    const off = (device.numerics?.leads_off ?? []).map((channel) => CHANNEL_TEXT[channel] ?? channel);
    if (off.length) text += `: ${off.join(", ")}`;
  }
  if (typeof alarm.value === "number" && ALARM_UNIT[alarm.kind]) text += ` ${value(alarm.value)} ${ALARM_UNIT[alarm.kind]}`;
  return text;
}

/** The banner: the device's alarms, and the ward's own that readings do not come. */
export function alarms(device, state, ageMs, isWardThere) {
  const list = [];
  if (!isWardThere) {
    list.push({ kind: "ward", priority: "medium", text: "NO CONNECTION TO THE WARD", since: "values are old" });
  } else if (device && state !== "live") {
    const text = state === "lost" ? `NO CONNECTION TO ${device.id}` : `NO READINGS FROM ${device.id}`;
    list.push({ kind: "connection", priority: "medium", text, since: "values are old" });
  }
  for (const alarm of device?.alarms ?? []) {
    const since = `since ${clockTime(alarm.since_unix_ms)}`;
    list.push({ kind: alarm.kind, priority: alarm.priority, text: alarmText(alarm, device), since });
  }
  list.sort((a, b) => RANK[b.priority] - RANK[a.priority]);
  show(byId("alarms"), [Boolean(device), list], () => {
    if (list.length === 0) return [element("p", { class: "none" }, device ? "No alarms" : "No device has connected yet")];
    return list.map((alarm) =>
      element("p", { class: "alarm", "data-priority": alarm.priority, "data-kind": alarm.kind },
        element("i", {}, MARK[alarm.priority]), alarm.text, element("small", {}, alarm.since)),
    );
  });
}

/** The connection, and how old what is shown is. */
export function connection(device, state, ageMs, isWardThere) {
  const pill = byId("connection");
  pill.dataset.state = isWardThere ? state : "lost";
  const age = ageMs === null || ageMs === undefined ? "" : ` \u00b7 ${duration(ageMs)}`;
  if (!isWardThere) pill.textContent = "ward not reached";
  else if (!device) pill.textContent = "no device yet";
  else if (state === "live") pill.textContent = `live \u00b7 ${(Math.min(ageMs ?? 0, 9999) / 1000).toFixed(1)} s`;
  else pill.textContent = `${state}${age}`;
  pill.title = device?.connection?.ended_why ? `last ended: ${device.connection.ended_why}` : "";
}

/** Whether the channel is protected, and what the ward says of its store. */
export function ward(health, device) {
  const badge = byId("channel-state");
  const channel = device?.connection?.protection ?? health.channel;
  badge.dataset.state = channel;
  badge.textContent = channel === "unprotected" ? "unprotected channel" : channel;
  badge.title = "Readings cross the network in the clear, and nobody has proved who sent them.";
  const line = byId("ward-state");
  const { state, detail, since_unix_ms: since } = health.database;
  line.hidden = state === "ok" || state === "opening";
  line.dataset.state = state;
  if (!line.hidden) {
    line.textContent =
      `The database has been ${state} since ${clockTime(since)} (${detail}). Readings are shown but not stored: ` +
      `${count(health.buffered_records)} wait, ${count(health.not_kept)} were not kept here; devices keep what is not acknowledged.`;
  }
}

function list(card, rows) {
  show(card.querySelector("dl"), rows, () =>
    rows.flatMap(([name, text, mood]) => [element("dt", {}, name), element("dd", { class: mood ?? null, title: String(text) }, String(text))]),
  );
}

function table(place, head, rows) {
  show(place, [head, rows], () => [
    element("table", {},
      element("thead", {}, element("tr", {}, ...head.map((name, n) => element("th", { class: n ? "n" : null, scope: "col" }, name)))),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell, n) => {
        const [text, mood] = Array.isArray(cell) ? cell : [cell, null];
        const inner = mood?.startsWith("state") ? element("span", { class: mood }, text) : String(text);
        return element("td", { class: [n ? "n" : "", mood && !mood.startsWith("state") ? mood : ""].join(" ").trim() || null }, inner);
      })))),
    ),
  ]);
}

const bad = (number) => (number > 0 ? "warn" : null);

/** The cards below the signals. */
export function panels(device, health) {
  const status = device.status;
  const up = status ? duration(status.t_us / 1000) : "--";
  const first = device.first_reading_unix_ms && device.power_on_unix_ms ? device.first_reading_unix_ms - device.power_on_unix_ms : null;
  list(byId("card-device"), [
    ["Name", device.id],
    ["Product", device.product],
    ["Version", device.version],
    ["Manifest", `no. ${device.manifest_sequence}`],
    ["Start", device.boot],
    ["Up for", up],
    ["Cores up", status ? status.cores : "--"],
    ["First reading", first === null ? "--" : `after ${(first / 1000).toFixed(1)} s`],
  ]);
  const mood = (state) => ({ running: "good", faulted: "bad", held: "bad" })[state] ?? "warn";
  table(byId("card-tasks").querySelector(".body"), ["task", "state", "restarts", "over"],
    (status?.tasks ?? []).map((task) => [task.name, [task.state, mood(task.state)], [task.restarts, bad(task.restarts)], [count(task.overruns), bad(task.overruns)]]));
  const can = status?.can ?? {};
  list(byId("card-can"), [
    ["Frames", count(can.received)],
    ["Lost / late", `${count(can.lost)} / ${count(can.late)}`, bad(can.lost)],
    ["Malformed", count(can.malformed), bad(can.malformed)],
    ["Unknown", count(can.unknown), bad(can.unknown)],
    ["Dropped", count(can.dropped), bad(can.dropped)],
    ["Pump commands", count(can.commands_sent)],
    ["Missed / late", `${count(can.commands_missed)} / ${count(can.commands_late)}`, bad(can.commands_missed)],
    ["Worst delay", typeof can.worst_delay_us === "number" ? `${count(can.worst_delay_us)} \u00b5s` : "--"],
  ]);
  partition(status?.partition);
  list(byId("card-link"), [
    ["Stored", count(device.stored.readings)],
    ["Strips", count(device.stored.strips)],
    ["Came again", count(device.duplicates)],
    ["Waiting, device", count(status?.link.waiting)],
    ["Waiting, ward", count(health?.buffered_records)],
    ["Dropped, device", count(status?.link.dropped), bad(status?.link.dropped)],
    ["Ring violations", count(status?.link.violations), bad(status?.link.violations)],
    ["Database", health ? `${health.database.state} \u00b7 ${(health.database.bytes / 1048576).toFixed(1)} MiB` : "--", health?.database.state === "ok" ? "good" : "warn"],
  ]);
  gaps(device);
  components(device.components);
  log(device);
}

function partition(state) {
  const card = byId("card-partition");
  const exits = [...(state?.exits ?? [])].filter((exit) => exit.count > 0).sort((a, b) => b.count - a.count);
  const moods = { running: "state good", faulted: "state bad", stopped: "state bad", off: "state warn" };
  table(card.querySelector(".body"), ["exits by reason", ""], [
    [["", null], [state?.state ?? "--", moods[state?.state] ?? "state"]].map((cell, n) => (n ? cell : ["state", null])),
    [["refused", null], [count(state?.refused), bad(state?.refused)]],
    ...exits.map((exit) => [exit.reason, count(exit.count)]),
  ]);
}

const GAP_TEXT = {
  records: (gap) => `${count(gap.count)} records`,
  samples: (gap) => `${count(gap.count)} samples, ${CHANNEL_SHORT[gap.channel] ?? gap.channel}`,
  connection: () => "connected again",
  restart: () => "device started again",
};

function gaps(device) {
  const card = byId("gaps");
  const recent = [...device.gaps.recent].reverse();
  const total = device.gaps.records + device.gaps.samples;
  card.dataset.count = String(recent.length);
  card.dataset.records = String(device.gaps.records);
  card.dataset.samples = String(device.gaps.samples);
  show(card.querySelector("h2"), total, () => ["Gaps", element("span", { class: total ? "warn" : "good" }, total ? `${count(total)} missing` : "none missing")]);
  show(card.querySelector(".body"), recent, () => {
    if (recent.length === 0) return [element("p", { class: "empty" }, "Every record and sample has come.")];
    return [element("table", {}, element("tbody", {}, ...recent.map((gap) =>
      element("tr", { "data-kind": gap.kind },
        element("td", { class: "mono" }, clockTime(gap.at_unix_ms)),
        element("td", { class: ["records", "samples"].includes(gap.kind) ? "warn" : null }, (GAP_TEXT[gap.kind] ?? (() => gap.kind))(gap)),
        element("td", { class: "n" }, duration(gap.duration_ms)))))) ];
  });
}

function components(all) {
  const card = byId("card-components");
  show(card.querySelector("h2"), all.length, () => ["Verified components", element("span", {}, String(all.length))]);
  show(card.querySelector(".body"), all, () => [
    element("div", { class: "columns" }, ...all.map((one) =>
      element("div", {}, element("span", {}, one.name), element("span", { class: "mono end" }, one.version), element("span", { class: "mono", title: "first eight bytes of its SHA-256" }, one.digest)))),
  ]);
}

const EVENT_TEXT = {
  started: () => "device started",
  "task-restarted": (event, task) => `task ${task} was restarted`,
  "task-held": (event, task) => `task ${task} is held: it faulted too often`,
  "link-up": () => "link to the ward is up",
  "link-down": () => "link to the ward is down",
  "partition-refused": (event) => `partition: access refused at 0x${event.b}`,
  "partition-stopped": () => "partition has stopped",
  "records-dropped": (event) => `device dropped records: ${count(parseInt(event.a, 16))} so far`,
};

function log(device) {
  const start = device.power_on_unix_ms ?? Date.now();
  const lines = [];
  for (const event of device.events) {
    const task = device.status?.tasks[parseInt(event.a, 16)]?.name ?? event.a;
    const text = (EVENT_TEXT[event.name] ?? (() => `event ${event.code}: ${event.a}, ${event.b}`))(event, task);
    lines.push({ at: start + event.t_us / 1000, text, mood: /held|stopped|dropped/.test(event.name) ? "bad" : null });
  }
  for (const alarm of device.alarm_log) {
    const text = `${MARK[alarm.priority]} ${ALARM_TEXT[alarm.kind] ?? alarm.kind}${alarm.active ? "" : " ended"}`;
    const mood = { high: "bad", medium: "warn", low: null }[alarm.priority];
    lines.push({ at: start + alarm.t_us / 1000, text, mood: alarm.active ? mood : null });
  }
  lines.sort((a, b) => b.at - a.at);
  const rounded = lines.map((line) => [clockTime(line.at), line.text, line.mood]);
  show(byId("card-log").querySelector(".body"), rounded, () => {
    if (rounded.length === 0) return [element("p", { class: "empty" }, "Nothing yet.")];
    return [element("div", { class: "lines" }, ...rounded.map(([at, text, mood]) =>
      element("div", {}, element("span", { class: "mono time" }, at), element("span", { class: mood }, text))))];
  });
}
