"use strict";
// The whole page. It asks the daemon over POST /rpc, while somebody looks, and puts together what it is
// told from elements and text: nothing that was told is ever read as markup.
(() => {
  const LOOK_EVERY = 4000, ROWS = 200, DAY = 86400000;
  const COMPLETIONS = ["responses.create", "chat.completions.create"];
  const $ = (id) => document.getElementById(id);
  const half = sessionStorage.getItem("valetkey.half") || "";
  const seen = { info: null, first: null, accounts: [], usage: [], clients: [], trail: [], usageAt: 0, usageFor: "", failed: "" };
  let over = false, heard = 0, timer = 0, looking = null, asking = false;

  // --- elements ------------------------------------------------------------------------------

  // Without control characters, and without those that turn the direction of writing.
  const plain = (text) => String(text).replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "\ufffd");

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value === true ? "" : plain(value));
    }
    node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false)
      .map((child) => child instanceof Node ? child : plain(child)));
    return node;
  }
  const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
  const svg = (name, attributes, ...children) => fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

  // Draws a part anew where what it shows has changed, and leaves the focus where it was.
  const drawn = new Map();
  function draw(id, data, build) {
    const key = JSON.stringify(data);
    if (drawn.get(id) === key) return;
    drawn.set(id, key);
    const part = $(id), focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    part.replaceChildren(...build().flat(Infinity).filter(Boolean));
    if (focused && $(focused)) $(focused).focus();
    tick();
  }

  function say(id, ...children) {
    const part = $(id), text = children.map((child) => child instanceof Node ? child.textContent : child).join("");
    if (part.textContent !== plain(text)) part.replaceChildren(...children.map((child) => child instanceof Node ? child : plain(child)));
  }

  // --- words ---------------------------------------------------------------------------------

  function span(ms) {
    const secs = Math.max(0, Math.floor(ms / 1000));
    const [unit, name] = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]].find(([size]) => secs >= 2 * size) || [1, "second"];
    const count = Math.floor(secs / unit);
    return `${count} ${name}${count === 1 ? "" : "s"}`;
  }
  function moment(at) {
    const ahead = at - Date.now();
    if (Math.abs(ahead) < 1000) return "just now";
    return ahead > 0 ? `in ${span(ahead)}` : `${span(-ahead)} ago`;
  }
  const clock = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" });
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const isTime = (at) => Number.isFinite(at) && Math.abs(at) < 8.64e15;
  const date = (at) => isTime(at) ? clock.format(at) : "?";
  // A moment that goes on being told as time passes.
  const when = (at) => isTime(at) ? el("time", { datetime: new Date(at).toISOString(), title: exact.format(at), "data-at": at }) : "?";
  const count = (n) => n < 1000 ? String(n) : [[1e9, "G"], [1e6, "M"], [1e3, "k"]].filter(([size]) => n >= size)
    .map(([size, name]) => `${n < 10 * size ? Math.floor(n / size * 10) / 10 : Math.floor(n / size)} ${name}`)[0];
  const day = (at) => new Date(at).toISOString().slice(0, 10);
  const tokens = (used) => used.input_tokens + used.output_tokens;
  const name = (status) => `${status.vendor} / ${status.account}`;
  const key = (status) => `${status.vendor}-${status.account}`;

  function tick() {
    for (const node of document.querySelectorAll("time[data-at]")) {
      const text = moment(Number(node.dataset.at));
      if (node.textContent !== text) node.textContent = text;
    }
    for (const node of document.querySelectorAll(".bar[data-to]")) {
      const from = Number(node.dataset.from), to = Number(node.dataset.to);
      level(node, to > from ? Math.max(0, Math.min(1, (to - Date.now()) / (to - from))) * 100 : 0);
    }
  }

  // A bar with its share in words, for those who do not see it.
  function level(node, percent) {
    const share = Math.max(0, Math.min(100, Number.isFinite(percent) ? percent : 0));
    node.firstChild.style.width = `${share}%`;
    node.setAttribute("aria-valuenow", Math.round(share));
    return node;
  }
  const bar = (label, grade, more) => el("div", { class: `bar ${grade}`, role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100, ...more }, el("div"));

  // --- calls ---------------------------------------------------------------------------------

  class Trouble extends Error {}

  async function post(path, body, patience) {
    let answer;
    try {
      answer = await fetch(path, { method: "POST", body, cache: "no-store", signal: AbortSignal.timeout(patience),
        headers: { "content-type": "application/json", "x-valetkey-page": half } });
    } catch {
      throw new Trouble("gone");
    }
    if (answer.status === 401 || answer.status === 403) throw new Trouble("ended");
    if (!answer.ok) throw new Trouble("busy");
    return answer;
  }

  // Several calls in one request; each comes to `{result}` or `{error}`, in order.
  async function calls(list, patience = 20000) {
    const batch = list.map(([method, params], id) => ({ jsonrpc: "2.0", id, method, params: params || {} }));
    let answers;
    try {
      answers = await (await post("/rpc", JSON.stringify(batch), patience)).json();
    } catch (error) {
      throw error instanceof Trouble ? error : new Trouble("gone");
    }
    const told = new Map((Array.isArray(answers) ? answers : [answers]).map((answer) => [answer.id, answer]));
    heard = Date.now();
    return list.map((_, id) => told.get(id) || { error: { message: "No answer came to this.", data: {} } });
  }
  async function call(method, params, patience) {
    const [answer] = await calls([[method, params]], patience);
    return answer;
  }
  const sentence = (error) => error.data && error.data.hint ? `${error.message} (${error.data.hint})` : error.message;

  // --- looking -------------------------------------------------------------------------------

  async function look(asked) {
    while (looking) await looking;
    if (over) return;
    clearTimeout(timer);
    looking = once(asked);
    try {
      await looking;
    } finally {
      looking = null;
      if (!over) timer = setTimeout(() => document.visibilityState === "visible" && look(), LOOK_EVERY);
    }
  }

  async function once(asked) {
    try {
      if (!seen.info) {
        const [info, first] = await calls([["info"], ["status"]]);
        if (info.error) throw new Trouble("busy");
        seen.info = info.result;
        seen.first = first.result ? first.result.vendor : null;
      }
      const vendors = [...seen.info.vendors].sort((a, b) => (b === seen.first) - (a === seen.first));
      const [info, trail, ...lists] = await calls([["info"], ["audit.tail", { limit: ROWS }], ...vendors.map((vendor) => ["accounts.list", { vendor }])]);
      seen.info = info.result || seen.info;
      if (trail.result) seen.trail = trail.result.entries.reverse();
      seen.accounts = lists.flatMap(({ result }) => result ? result.accounts.map((status, at) => ({ ...status, current: at === 0 })) : []);
      show();
      lookAtUsage(asked);
      if ($("alarm").textContent) { say("alarm"); say("news", "The daemon answers again."); }
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      trouble(error.message);
    }
  }

  // The vendor may have to be asked for the limits. So they are looked at when a completion has brought
  // them anyway, when who is signed in changes and when a person comes to look, but not every few seconds.
  async function lookAtUsage(asked) {
    const signedIn = seen.accounts.filter((status) => status.connected);
    const latest = seen.trail.find((entry) => COMPLETIONS.includes(entry.method));
    const reason = JSON.stringify([signedIn.map(key), latest ? latest.at : 0]);
    if (asking || (!asked && reason === seen.usageFor)) return;
    asking = true;
    try {
      const answers = signedIn.length ? await calls(signedIn.map(({ vendor, account }) => ["usage", { vendor, account }]), 60000) : [];
      [seen.usageFor, seen.usageAt] = [reason, Date.now()];
      seen.usage = answers.map((answer, at) => ({ status: signedIn[at], ...answer }));
      const told = answers.find((answer) => answer.result);
      if (told) seen.clients = told.result.clients;
      if (!over) show();
    } catch (error) {
      // The next look tells that nobody answers.
      if (!(error instanceof Trouble)) throw error;
    } finally {
      asking = false;
    }
  }

  function trouble(kind) {
    if (kind === "ended") return end("This page’s session has ended");
    say("news");
    const since = heard ? `What is shown is from ${exact.format(heard)}. ` : "";
    if (kind === "busy") return say("alarm", `The daemon has too much to do to answer. ${since}This page asks again every few seconds.`);
    say("alarm", `The daemon does not answer. ${since}This page asks again every few seconds. If the daemon was stopped or started again, run `,
      el("code", {}, "valetkey open"), " for a new page.");
  }

  function end(title) {
    over = true;
    clearTimeout(timer);
    sessionStorage.removeItem("valetkey.half");
    $("dialog").close();
    document.body.className = "note";
    const heading = el("h1", { tabindex: -1 }, title);
    document.body.replaceChildren(el("main", {}, heading, el("p", {}, "Nobody was signed out. Run ", el("code", {}, "valetkey open"), " to open the page again.")));
    heading.focus();
  }

  // --- showing -------------------------------------------------------------------------------

  function show() {
    const info = seen.info;
    draw("daemon", [info.version, info.pid, info.started_at], () => [
      `Version ${plain(info.version)}, process ${info.pid}, started `, when(info.started_at)]);
    draw("logins", seen.accounts, () => seen.accounts.map(login));
    draw("limits", [seen.usage, seen.usage.map(({ result }) => result && result.windows.map((window) => window.resets_at <= Date.now()))], limits);
    chart();
    errors();
    trail();
    tick();
  }

  const STATES = {
    active: ["good", "✓ Signed in"], refreshing: ["good", "↻ Signed in, the token is being renewed"],
    degraded: ["warn", "! Renewing fails, the token still lives"], login_required: ["bad", "✗ Sign in again"],
    signed_out: ["soft", "– Signed out"], locked: ["warn", "! Locked"],
  };

  function login(status) {
    const [grade, text] = STATES[status.state] || ["soft", status.state];
    const id = key(status), about = { "aria-describedby": `login-${id}` };
    const out = status.state === "signed_out";
    const from = status.last_refresh_at, to = status.expires_at;
    return el("article", { class: "card", "aria-labelledby": `login-${id}` },
      el("h3", { id: `login-${id}` }, name(status), status.current && el("span", { class: "badge" }, "current")),
      el("p", { class: `state ${grade}` }, text),
      !out && el("p", {}, status.account_email || status.account_id || "Nobody knows whose it is", status.plan && ` · ${status.plan}`),
      isTime(to) && [bar("Life of the token that is left", grade, { "data-from": from || 0, "data-to": to }),
        el("p", { class: "soft" }, "The token ends ", when(to), ` (${date(to)})`, isTime(status.refresh_at) && [", renewal ", when(status.refresh_at)], ".")],
      isTime(from) && el("p", { class: "soft" }, "Last renewed ", when(from), "."),
      status.last_error && el("p", {}, el("strong", { class: "bad" }, `✗ ${status.last_error.reason}: `), status.last_error.message, " ", when(status.last_error.at)),
      el("div", { class: "choices" },
        el("button", { type: "button", id: `in-${id}`, class: out || status.state === "login_required" ? "primary" : "", ...about, onclick: () => signIn(status) }, out ? "Sign in…" : "Sign in again…"),
        !out && el("button", { type: "button", id: `out-${id}`, ...about, onclick: () => signOut(status) }, "Sign out…"),
        !status.current && el("button", { type: "button", id: `use-${id}`, ...about, onclick: () => use(status) }, "Make current")));
  }

  function length(minutes) {
    if (minutes >= 1440 && minutes % 1440 === 0) return `${minutes / 1440} d`;
    return minutes >= 60 && minutes % 60 === 0 ? `${minutes / 60} h` : `${minutes} min`;
  }
  function label(window) {
    const long = window.window_minutes ? length(window.window_minutes) : "";
    return ["primary", "secondary"].includes(window.name) && long ? long : [window.name, long].filter(Boolean).join(", ");
  }

  function limits() {
    if (!seen.usage.length) return [el("p", {}, "Nobody is signed in, so there are no limits to show.")];
    return seen.usage.map(({ status, result, error }) => el("article", { class: "card" },
      el("h3", {}, name(status), result && result.plan && el("span", { class: "badge" }, result.plan)),
      error && el("p", { class: "bad" }, `✗ ${sentence(error)}`),
      result && !result.windows.length && el("p", {}, result.observed_at ? "No limit was told." : "Nothing is known yet; the first completion brings it."),
      result && result.windows.map((window) => {
        const used = window.used_percent, grade = used >= 90 ? "bad" : used >= 70 ? "warn" : "good";
        const passed = isTime(window.resets_at) && window.resets_at <= Date.now();
        return el("div", {},
          el("p", { class: "pair" }, el("span", {}, label(window)), el("strong", { class: `number ${grade}` }, `${grade === "bad" ? "! " : ""}${Math.round(used)} % used`)),
          level(bar(`${label(window)}: used`, grade), used),
          isTime(window.resets_at) && el("p", { class: "soft" }, passed ? "has reset " : "resets ", when(window.resets_at), ` (${date(window.resets_at)})`));
      }),
      result && isTime(result.observed_at) && el("p", { class: "soft" }, "As of ", when(result.observed_at), ".")));
  }

  // --- the chart -----------------------------------------------------------------------------

  const OTHERS = "others";
  const measures = { tokens, requests: (used) => used.requests, input_tokens: (used) => used.input_tokens, cached_tokens: (used) => used.cached_tokens, output_tokens: (used) => used.output_tokens };

  function chart() {
    // How large text is here: the numbers beside the bars need room.
    const em = parseFloat(getComputedStyle($("chart")).fontSize) * .75 || 12;
    const width = Math.floor($("chart").clientWidth) || 300, today = Math.floor(Date.now() / DAY);
    const measure = $("measure").value, of = measures[measure];
    const byDay = seen.clients.filter((used) => used.day);
    draw("days", [byDay], () => [table(byDay)]);
    draw("chart", [byDay, width, em, today, measure], () => {
      // As many days as there is something to see of, two weeks at least, where there is room for them.
      const first = byDay.reduce((first, used) => used.day < first ? used.day : first, day(today * DAY));
      const past = today - Math.floor(Date.parse(first) / DAY) + 1;
      const many = Math.max(7, Math.min(Math.max(14, past), 31, Math.floor((width - 4 * em) / 26)));
      const days = Array.from({ length: many }, (_, at) => day((today - many + 1 + at) * DAY));
      const shown = byDay.filter((used) => used.day >= days[0] && of(used) > 0);
      const sums = new Map();
      for (const used of shown) sums.set(used.client, (sums.get(used.client) || 0) + of(used));
      const ranked = [...sums].sort((a, b) => b[1] - a[1]);
      const own = ranked.slice(0, ranked.length > 8 ? 7 : 8).map(([client]) => client);
      const place = (client) => own.includes(client) ? own.indexOf(client) : 7;
      const named = own.map((client, at) => [at, client, sums.get(client)]);
      if (ranked.length > own.length) named.push([7, OTHERS, ranked.slice(own.length).reduce((sum, [, n]) => sum + n, 0)]);
      $("legend").replaceChildren(...named.map(([at, client, sum]) => el("li", {}, el("i", { class: `c${at}`, "aria-hidden": "true" }), `${plain(client)} (${count(sum)})`)));
      if (!shown.length) return [el("p", {}, `Nothing was used through this daemon in the last ${many} days.`)];
      return [bars(days, shown, of, place, width, em, named)];
    });
  }

  function bars(days, shown, of, place, width, em, named) {
    const left = 4 * em, top = em, high = 180, all = top + high + 2 * em, step = (width - left) / days.length;
    const stacks = days.map((on) => {
      const parts = Array(8).fill(0);
      for (const used of shown) if (used.day === on) parts[place(used.client)] += of(used);
      return parts;
    });
    const total = (parts) => parts.reduce((sum, part) => sum + part, 0);
    const most = Math.max(...stacks.map(total)), unit = 10 ** Math.floor(Math.log10(most));
    const full = [1, 2, 5, 10].map((n) => n * unit).find((n) => n >= most);
    const y = (n) => top + high - n / full * high;
    const words = named.map(([, client, sum]) => `${client} ${count(sum)}`).join(", ");
    const text = `${$("measure").selectedOptions[0].text} by day from ${days[0]} to ${days[days.length - 1]}: ${words}. The table below has the numbers.`;
    const each = Math.ceil(3.6 * em / step);
    return svg("svg", { role: "img", "aria-label": text, height: all, viewBox: `0 0 ${width} ${all}` },
      [0, .5, 1].map((share) => share * full).filter((n) => Number.isInteger(n)).map((n) => [
        svg("line", { x1: left, x2: width, y1: y(n), y2: y(n) }), svg("text", { x: left - 6, y: y(n) + em / 3, "text-anchor": "end" }, count(n))]),
      stacks.map((parts, at) => {
        let below = 0;
        return parts.map((part, kind) => {
          if (!part) return null;
          below += part;
          const client = (named.find(([at]) => at === kind) || ["", OTHERS])[1];
          return svg("rect", { class: `c${kind}`, x: left + at * step + step * .12, width: step * .76, y: y(below), height: Math.max(1, part / full * high) },
            svg("title", {}, `${days[at]}, ${client}: ${part.toLocaleString()}`));
        });
      }),
      days.map((on, at) => (days.length - 1 - at) % each ? null : svg("text", { x: left + (at + .5) * step, y: top + high + 1.4 * em, "text-anchor": "middle" }, on.slice(5))));
  }

  function table(byDay) {
    if (!byDay.length) return el("p", {}, "Nothing was used through this daemon yet.");
    const rows = byDay.slice(0, 1000).map((used) => el("tr", {}, el("th", { scope: "row" }, used.day), el("td", { class: "break" }, used.client),
      [used.requests, used.input_tokens, used.cached_tokens, used.output_tokens].map((n) => el("td", { class: "n" }, n.toLocaleString()))));
    return el("table", {}, el("thead", {}, el("tr", {}, ["Day (UTC)", "Agent"].map((text) => el("th", { scope: "col" }, text)),
      ["Requests", "Read", "From cache", "Written"].map((text) => el("th", { scope: "col", class: "n" }, text)))), el("tbody", {}, rows));
  }

  // --- errors and the trail ------------------------------------------------------------------

  const who = ({ client }) => client.name || (client.exe ? client.exe.split(/[/\\]/).pop() : "") || (client.pid ? `process ${client.pid}` : "somebody");
  // That the notice was not accepted yet is no failure.
  const bad = (entry) => !["ok", "cancelled", "consent_required"].includes(entry.outcome);

  function errors() {
    const held = seen.accounts.filter((status) => status.last_error), failed = seen.trail.filter(bad).slice(0, 8);
    draw("errors", [held, failed], () => [held.length + failed.length === 0 ? el("p", {}, "✓ None.") : el("ul", { class: "plainlist" },
      held.map((status) => el("li", {}, when(status.last_error.at), `, ${name(status)}: ${status.last_error.message}`)),
      failed.map((entry) => el("li", {}, when(entry.at), `, ${who(entry)}: ${entry.method} came to `, el("strong", { class: "bad" }, entry.outcome))))]);
  }

  function trail() {
    const words = $("words").value.toLowerCase().split(/\s+/).filter(Boolean), only = $("outcome").value;
    const text = (entry) => [who(entry), entry.client.exe, entry.client.pid, entry.method, entry.vendor, entry.account, entry.outcome].join(" ").toLowerCase();
    const rows = seen.trail.filter((entry) => (!only || bad(entry)) && words.every((word) => text(entry).includes(word)));
    say("count", `${rows.length} of the latest ${seen.trail.length}`);
    drawTrail(rows);
    return rows.length;
  }

  function drawTrail(rows) {
    draw("trail", rows, () => [!rows.length ? el("p", {}, "Nothing like that is in the trail.") : el("table", {},
      el("thead", {}, el("tr", {}, ["When", "Who", "What", "Login", "Outcome"].map((text) => el("th", { scope: "col" }, text)))),
      el("tbody", {}, rows.map((entry) => el("tr", {},
        el("td", {}, when(entry.at)),
        el("td", { class: "break", title: entry.client.exe || undefined }, who(entry), entry.client.pid && el("span", { class: "soft" }, ` ${entry.client.pid}`)),
        el("td", { class: "break" }, entry.method, entry.count > 1 && ` × ${entry.count}`, entry.generation !== undefined && el("span", { class: "soft" }, ` token ${entry.generation}`)),
        el("td", { class: "break" }, entry.vendor ? `${entry.vendor} / ${entry.account}` : ""),
        el("td", { class: bad(entry) ? "bad" : "" }, bad(entry) ? "✗ " : "", entry.outcome)))))]);
  }

  // --- doing ---------------------------------------------------------------------------------

  let atSubmit = null, atClose = null;

  // One dialog for everything: a heading, what is in it, and what happens when it is sent or closed.
  function ask(title, children, submit, close) {
    const was = atClose;
    atClose = null;
    if (was) was();
    [atSubmit, atClose] = [submit, close];
    const heading = el("h2", { id: "dialog-title", tabindex: -1 }, title);
    $("dialog-form").replaceChildren(heading, ...children.flat(Infinity).filter(Boolean), el("div", { id: "dialog-trouble", class: "bad", role: "alert" }));
    if (!$("dialog").open) $("dialog").showModal();
    ($("dialog-form").querySelector("[autofocus], input, .primary") || heading).focus();
  }
  const buttons = (...more) => el("div", { class: "choices" }, more, el("button", { type: "button", onclick: () => $("dialog").close() }, "Cancel"));

  // Runs something that a person asked for; what goes wrong is said where they look.
  async function act(work) {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      $("dialog").close();
      trouble(error.message);
    }
  }
  async function changed(text) {
    say("news", text);
    await look();
  }

  const use = (status) => act(async () => {
    const { error } = await call("accounts.use", { vendor: status.vendor, account: status.account });
    await changed(error ? sentence(error) : `${name(status)} is the current account from now on.`);
  });

  function signOut(status) {
    ask(`Sign out of ${name(status)}?`, [
      el("p", {}, "Every agent that borrows this login has to do without it from now on. The vendor is asked to end it, and the copy kept here is removed."),
      buttons(el("button", { class: "danger" }, "Sign out")),
    ], async () => {
      const { result, error } = await call("logout", { vendor: status.vendor, account: status.account }, 60000);
      if (error) return say("dialog-trouble", sentence(error));
      $("dialog").close();
      await changed(`Signed out of ${name(status)}. ${result.revoked ? "The vendor has confirmed it." : "The vendor did not confirm it."}`);
      if ($(`in-${key(status)}`)) $(`in-${key(status)}`).focus();
    });
  }

  function signIn(status) {
    const choose = (value, text, checked) => el("label", {}, el("input", { type: "radio", name: "method", value, checked }), ` ${text}`);
    const vendors = seen.info ? seen.info.vendors : [];
    ask("Sign in", [
      status ? el("p", {}, name(status)) : [
        el("label", { for: "vendor" }, "Vendor"), el("select", { id: "vendor", name: "vendor" }, vendors.map((vendor) => el("option", { value: vendor, selected: vendor === seen.first }, vendor))),
        el("label", { for: "account" }, "A name for the account here"),
        el("input", { type: "text", id: "account", name: "account", required: true, pattern: "[a-z0-9][a-z0-9._\\-]{0,63}", value: "work", autocomplete: "off", spellcheck: "false", "aria-describedby": "account-note" }),
        el("p", { id: "account-note", class: "soft" }, "Lower case letters, digits, dots, dashes and underscores.")],
      el("fieldset", {}, el("legend", {}, "How"), choose("browser", "with the browser on this machine", true), choose("device", "with a code, typed on any device")),
      status && status.connected && el("label", {}, el("input", { type: "checkbox", name: "replace" }), " Another person’s account may take its place"),
      buttons(el("button", { class: "primary" }, "Continue")),
    ], async (form) => {
      const params = { vendor: status ? status.vendor : form.get("vendor"), account: status ? status.account : form.get("account"), method: form.get("method"), replace: form.has("replace") };
      await start(params);
    });
  }

  async function start(params) {
    const { result, error } = await call("login.start", params, 60000);
    if (result) return wait(params, result);
    if (!error.data || error.data.kind !== "consent_required") return say("dialog-trouble", sentence(error));
    ask("Before you sign in", [
      String(error.data.notice).split("\n").filter(Boolean).map((text) => el("p", {}, text)),
      el("label", {}, el("input", { type: "checkbox", required: true }), " I have read this and accept it"),
      buttons(el("button", { class: "primary" }, "Continue")),
    ], () => start({ ...params, consent: true }));
  }

  // Nothing but a web page is ever linked to.
  function link(address, text, more) {
    const url = URL.canParse(address) ? new URL(address) : null;
    const web = url && (url.protocol === "https:" || (url.protocol === "http:" && ["127.0.0.1", "localhost", "[::1]"].includes(url.hostname)));
    return web ? el("a", { href: url.href, target: "_blank", rel: "noopener noreferrer", ...more }, text) : el("span", {}, plain(address));
  }

  function wait(params, begun) {
    const id = begun.login_id;
    let waiting = true;
    const left = el("p", { class: "soft" }, "This ends ", when(begun.expires_at), ".");
    const leave = () => {
      if (waiting) act(() => call("login.cancel", { login_id: id }));
      waiting = false;
    };
    if (begun.method === "device") {
      ask("Type this code on any device", [
        el("p", { class: "code", id: "user-code" }, begun.user_code),
        el("p", {}, "Open ", link(begun.verification_uri, begun.verification_uri), " and type it there."),
        el("p", {}, link(begun.verification_uri_complete, "Open that page here", { class: "button primary", id: "sign-in-link" })),
        el("p", {}, el("strong", {}, "Never share this code"), ", and type it only on that page: such codes are a phishing target."),
        left, buttons(),
      ], () => {}, leave);
    } else {
      ask("Sign in on the vendor’s page", [
        el("p", {}, link(begun.authorize_url, "Open the sign-in page", { class: "button primary", id: "sign-in-link" })),
        el("p", {}, "This dialog goes on by itself when you are done there."),
        el("details", {}, el("summary", {}, "The browser is on another machine"),
          el("label", { for: "pasted" }, "Paste the address of its last page, which did not load"),
          el("input", { type: "text", id: "pasted", name: "pasted", autocomplete: "off", spellcheck: "false" }),
          el("p", {}, el("button", {}, "Use this address"))),
        left, buttons(),
      ], async (form) => {
        const pasted = String(form.get("pasted") || "").trim();
        if (!pasted) return;
        const { error } = await call("login.complete", { login_id: id, redirect_url: pasted }, 60000);
        if (error) say("dialog-trouble", `That was not it: ${sentence(error)}`);
      }, leave);
    }
    const leads = $("sign-in-link");
    if (leads) leads.focus();
    tick();
    act(async () => {
      while (waiting && !over) {
        const { result, error } = await call("login.wait", { login_id: id, timeout: 25 }, 40000);
        if (!waiting) return;
        if (result && result.login === "pending") continue;
        waiting = false;
        await finish(params, result, error);
      }
    });
  }

  const ENDS = { expired: "Nobody finished the sign-in in time.", cancelled: "The sign-in was cancelled: a later one or a sign-out took its place.", failed: "The sign-in failed." };

  async function finish(params, result, error) {
    if (result && result.login === "complete") {
      $("dialog").close();
      await changed(`Signed in as ${result.account_email || name(result)}.`);
      if ($(`out-${key(result)}`)) $(`out-${key(result)}`).focus();
      return;
    }
    const why = error || (result && result.error);
    ask("That did not work", [
      el("p", { class: "bad" }, "✗ ", why ? sentence(why) : ENDS[result.login] || "The sign-in ended."),
      buttons(el("button", { class: "primary" }, "Try again")),
    ], () => start(params));
    look();
  }

  // --- what people do ------------------------------------------------------------------------

  if (!half) {
    end("This tab has no session");
    return;
  }
  $("dialog-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const form = new FormData(event.target), buttons = [...event.target.querySelectorAll("button:not([type])")];
    if (!atSubmit || buttons.some((button) => button.disabled)) return;
    buttons.forEach((button) => { button.disabled = true; });
    say("dialog-trouble");
    act(() => atSubmit(form)).finally(() => buttons.forEach((button) => { button.disabled = false; }));
  });
  $("dialog").addEventListener("close", () => {
    const close = atClose;
    [atSubmit, atClose] = [null, null];
    if (close) close();
  });
  $("refresh").addEventListener("click", () => look(true));
  $("add").addEventListener("click", () => signIn(null));
  $("leave").addEventListener("click", () => act(async () => {
    await post("/leave", "{}", 10000);
    end("The page is closed");
  }));
  $("measure").addEventListener("change", () => chart());
  // Told aloud when a person filters, not whenever somebody borrows.
  $("filter").addEventListener("input", () => say("found", `${trail()} entries found`));
  $("filter").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") look(Date.now() - seen.usageAt > 600000);
  });
  new ResizeObserver(() => seen.info && !over && chart()).observe($("chart"));
  setInterval(tick, 5000);
  look();
})();
