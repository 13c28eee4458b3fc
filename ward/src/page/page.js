// The page: chooses a device, follows it, moves the pens.

import { Clock } from "./clock.js";
import { Sweep } from "./sweep.js";
import { alarms, byId, connection, element, numbers, panels, ward } from "./panels.js";

/** How often the list of devices is asked for, milliseconds. */
const LIST_EVERY_MS = 1000;
/** Silence of the ward after which it counts as not reached: it says something twice a second. */
const WARD_SILENCE_MS = 3000;
/** Frames a second: enough for the eye, cheap for old computers. */
const FRAME_MS = 1000 / 40;

const GREEN = "#41e87a";
const CYAN = "#38d5ee";

const clock = new Clock();
const sweeps = {};
for (const [channel, kind, colour] of [["ecg-1", "ecg", GREEN], ["ecg-2", "ecg", GREEN], ["pleth", "pleth", CYAN]]) {
  const figure = document.querySelector(`figure[data-channel="${channel}"]`);
  sweeps[channel] = new Sweep(figure.querySelector("canvas"), kind, colour, figure.querySelector(".scale"));
}

const now = {
  chosen: decodeURIComponent(location.hash.slice(1)) || null,
  source: null,
  device: null,
  health: null,
  state: "lost",
  ageMs: null,
  heardAt: performance.now(),
  isWardThere: true,
};

function forget() {
  clock.reset();
  for (const sweep of Object.values(sweeps)) sweep.reset();
}

/** Follows another device. */
function choose(id) {
  if (now.chosen === id && now.source) return;
  now.chosen = id;
  history.replaceState(null, "", `#${encodeURIComponent(id)}`);
  follow();
}

function follow() {
  now.source?.close();
  now.device = null;
  now.state = "lost";
  now.ageMs = null;
  forget();
  now.source = new EventSource(`/api/devices/${encodeURIComponent(now.chosen)}/live`);
  now.source.onopen = forget;
  now.source.onmessage = (event) => heard(JSON.parse(event.data));
}

function heard(message) {
  const at = performance.now();
  now.heardAt = at;
  now.isWardThere = true;
  if (message.device) {
    if (now.device && now.device.boot !== message.device.boot) forget();
    now.device = message.device;
  }
  now.state = message.state;
  now.ageMs = message.age_ms;
  for (const strip of message.strips) {
    const sweep = sweeps[strip.channel];
    if (sweep) clock.arrived(sweep.add(strip), at);
  }
  if (message.ward) {
    now.health = message.ward;
    ward(now.health, now.device);
  }
  show();
}

function show() {
  const age = now.ageMs === null ? null : now.ageMs + (performance.now() - now.heardAt);
  const state = now.isWardThere ? now.state : "lost";
  numbers(now.device, state, age);
  alarms(now.device, state, age, now.isWardThere);
  connection(now.device, state, age, now.isWardThere);
  if (now.device && !byId("panels").hidden) panels(now.device, now.health);
  document.documentElement.dataset.ready = now.device ? "true" : "false";
}

/** The row of devices, and the ward's health while no device is followed. */
async function look() {
  try {
    const { devices, ward: health } = await (await fetch("/api/devices")).json();
    list(devices);
    if (!now.source) {
      now.heardAt = performance.now();
      now.isWardThere = true;
      now.health = health;
      ward(health, null);
      const wanted = devices.find((device) => device.id === now.chosen) ?? devices[0];
      if (wanted) choose(wanted.id);
    } else if (now.source.readyState === EventSource.CLOSED) {
      follow();
    }
  } catch {
    // The ward is not there: show() says so when it has been silent for long enough.
  }
}

const RATE = (device) => (device.state === "lost" || device.heart_rate_bpm === null ? "--" : device.heart_rate_bpm.toFixed(0));

function list(devices) {
  const row = byId("devices");
  const wanted = devices.map((device) => device.id).join("\n");
  if (row.dataset.ids !== wanted) {
    row.dataset.ids = wanted;
    row.replaceChildren(...devices.map((device) => {
      const tab = element("button", { type: "button", role: "tab", "data-id": device.id }, element("span", {}, device.id), element("b", {}));
      tab.addEventListener("click", () => choose(device.id));
      return tab;
    }));
  }
  for (const [n, device] of devices.entries()) {
    const tab = row.children[n];
    const isChosen = device.id === now.chosen;
    tab.setAttribute("aria-selected", String(isChosen));
    tab.tabIndex = isChosen ? 0 : -1;
    tab.dataset.state = device.state;
    tab.dataset.alarm = device.alarm ?? "";
    tab.querySelector("b").textContent = RATE(device);
    tab.setAttribute("aria-label", `${device.id}, ${device.state}, heart rate ${RATE(device)}${device.alarm ? `, ${device.alarm} priority alarm` : ""}`);
  }
}

/** Arrow keys move along the row of devices. */
byId("devices").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const tabs = [...byId("devices").children];
  const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
  next?.focus();
  if (next) choose(next.dataset.id);
});

function toggle(id, apply) {
  byId(id).addEventListener("click", (event) => {
    const isOn = event.currentTarget.getAttribute("aria-pressed") !== "true";
    event.currentTarget.setAttribute("aria-pressed", String(isOn));
    apply(isOn);
  });
}
toggle("second-lead", (isOn) => {
  document.querySelector('figure[data-channel="ecg-2"]').hidden = !isOn;
});
toggle("details", (isOn) => {
  byId("panels").hidden = !isOn;
  show();
});

let painted = 0;
function frame(at) {
  requestAnimationFrame(frame);
  if (at - painted < FRAME_MS - 4) return;
  painted = at;
  const pen = clock.penAt(performance.now());
  for (const sweep of Object.values(sweeps)) sweep.draw(pen);
}

setInterval(() => {
  byId("clock").textContent = new Date().toLocaleTimeString("en-GB");
  if (performance.now() - now.heardAt > WARD_SILENCE_MS) now.isWardThere = false;
  show();
}, 500);
setInterval(look, LIST_EVERY_MS);
look();
requestAnimationFrame(frame);
