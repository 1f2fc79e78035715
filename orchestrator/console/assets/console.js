// What the console does in the browser: keeps pages live, shows times, and listens to keys. Changes
// and previews are htmx's. Nothing here is needed to read a page.
(() => {
  'use strict';
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const prefix = document.body.dataset.prefix;
  const live = $('#live');
  const stored = (key, fallback) => { try { return JSON.parse(localStorage.getItem(key)) ?? fallback; } catch { return fallback; } };
  const store = (key, value) => localStorage.setItem(key, JSON.stringify(value));

  // ---- Times: relative or absolute, local or UTC.
  const times = stored('times', { relative: true, utc: false });
  const pad = (n, width = 2) => String(n).padStart(width, '0');
  function absolute(at) {
    const utc = times.utc;
    const part = (name) => at[(utc ? 'getUTC' : 'get') + name]();
    return `${part('FullYear')}-${pad(part('Month') + 1)}-${pad(part('Date'))} ${pad(part('Hours'))}:${pad(part('Minutes'))}:${pad(part('Seconds'))}${utc ? ' UTC' : ''}`;
  }
  function span(ms) {
    const s = Math.floor(Math.abs(ms) / 1000);
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
  }
  function relative(ms) { return ms < 0 ? `in ${span(ms)}` : `${span(ms)} ago`; }
  function showTimes() {
    const now = Date.now();
    for (const t of $$('time[datetime]')) {
      const at = new Date(t.dateTime);
      const counting = 'countdown' in t.dataset;
      const text = counting ? (at < now ? `${span(now - at)} overdue` : span(at - now)) : times.relative ? relative(now - at) : absolute(at);
      if (t.textContent !== text) t.textContent = text;
      const title = times.relative || counting ? absolute(at) : relative(now - at);
      if (t.title !== title) t.title = title;
    }
  }
  function showTimesButton() {
    const button = $('#times-button');
    if (button) button.textContent = `${times.utc ? 'UTC' : 'Local'}, ${times.relative ? 'relative' : 'absolute'}`;
  }
  function nextTimes() {
    if (times.relative) times.relative = false;
    else if (!times.utc) times.utc = true;
    else { times.relative = true; times.utc = false; }
    store('times', times);
    showTimesButton();
    showTimes();
  }

  // ---- Live: the page's own URL as a stream.
  const every = Number(live?.dataset.every || 0);
  let stream = null;
  let paused = false;
  let trouble = '';
  let heard = Number(live?.dataset.at || 0) ? Date.now() : 0; // when the page was last known to be current

  const keep = {
    // What somebody types into stays as it is, and what they have opened stays open.
    // What is of its own (a plot, a part that is fetched, a box that was ticked) stays, and so does an
    // open form whose button has gone, with the row that it is in: what came of it is shown in it.
    beforeNodeMorphed: (old) => !(old.nodeType === 1 && (old.hasAttribute('data-own') || old.hasAttribute('data-keep') && old.closest('details[open]'))),
    beforeNodeRemoved: (old) => !(old.nodeType === 1 && (old.matches('details.action[open]') || $('details.action[open]', old))),
    beforeAttributeUpdated: (name, node) => !(name === 'open' && node.tagName === 'DETAILS'),
  };
  function show(html) {
    Idiomorph.morph(live, html, { morphStyle: 'innerHTML', callbacks: keep });
    htmx.process(live);
    showTimes();
    document.dispatchEvent(new CustomEvent('waybill:live'));
  }
  function connect() {
    if (!every || stream || paused || document.hidden) return;
    stream = new EventSource(live.dataset.stream);
    const news = (handle) => (e) => { heard = Date.now(); trouble = ''; handle?.(JSON.parse(e.data)); showLive(); };
    stream.addEventListener('live', news((d) => show(d.html)));
    stream.addEventListener('same', news());
    stream.addEventListener('trouble', (e) => { trouble = JSON.parse(e.data); showLive(); });
    stream.onerror = () => {
      trouble = 'no connection to the console';
      if (stream?.readyState === EventSource.CLOSED) { disconnect(); setTimeout(connect, 3000); }
      showLive();
    };
  }
  function disconnect() { stream?.close(); stream = null; }
  function showLive() {
    const button = $('#live-button');
    if (!button || !every) return;
    const age = Date.now() - heard;
    const late = !paused && !document.hidden && (trouble || age > Math.max(3 * every, 8000));
    button.classList.toggle('live', !paused && !late);
    button.classList.toggle('late', Boolean(late));
    button.setAttribute('aria-pressed', String(!paused));
    button.title = trouble || (paused ? 'Go on (p)' : 'Pause (p)');
    const text = paused ? `Paused, ${span(age)} old` : late ? `Data is ${span(age)} old` : 'Live';
    if ($('#live-text').textContent !== text) $('#live-text').textContent = text;
  }
  function pause() {
    paused = !paused;
    if (paused) disconnect(); else connect();
    showLive();
  }
  async function refresh() {
    if (!every) { location.reload(); return; }
    try {
      const answer = await fetch(location.href, { headers: { Accept: 'text/html' } });
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById('live');
      if (fresh) { show(fresh.innerHTML); heard = Date.now(); trouble = ''; }
    } catch { trouble = 'no connection to the console'; }
    showLive();
  }
  document.addEventListener('visibilitychange', () => { if (document.hidden) disconnect(); else connect(); });

  // ---- Themes.
  function nextTheme() {
    const now = document.documentElement.dataset.theme || 'auto';
    const next = { auto: 'dark', dark: 'light', light: 'auto' }[now];
    if (next === 'auto') { delete document.documentElement.dataset.theme; localStorage.removeItem('theme'); } else {
      document.documentElement.dataset.theme = next;
      localStorage.setItem('theme', next);
    }
    toast(`Theme: ${next}`);
    document.dispatchEvent(new CustomEvent('waybill:theme'));
  }

  // ---- Saved views: a name for a URL.
  const views = stored('views', []);
  function showViews() {
    $('#views')?.replaceChildren(...views.map((v) => {
      const a = document.createElement('a');
      a.href = prefix + v.path;
      a.textContent = v.name;
      const li = document.createElement('li');
      li.append(a);
      return li;
    }));
  }
  function saveView() {
    const path = (location.pathname + location.search).slice(prefix.length);
    const at = views.findIndex((v) => v.path === path);
    if (at >= 0) { views.splice(at, 1); toast('View removed'); } else {
      const query = [...new URLSearchParams(location.search)].map(([k, v]) => `${k} ${v}`).join(', ');
      views.push({ name: $('h1').textContent.trim() + (query ? `: ${query}` : ''), path });
      toast('View saved');
    }
    store('views', views.slice(-30));
    showViews();
  }

  function toast(text) {
    $('#toast').textContent = text;
    clearTimeout(toast.timer);
    toast.timer = setTimeout(() => { $('#toast').textContent = ''; }, 2500);
  }

  // ---- The palette.
  const palette = $('#palette'), paletteInput = $('#palette-input'), paletteList = $('#palette-list');
  let chosen = 0;
  let shown = [];
  function commands() {
    const go = (href) => () => { location.href = href; };
    return [
      ...$$('.side ul:not(#views) a').map((a) => ({ name: `Go to ${a.firstChild.textContent.trim()}`, key: a.dataset.key ? `g ${a.dataset.key}` : '', run: go(a.href) })),
      ...views.map((v) => ({ name: `View: ${v.name}`, run: go(prefix + v.path) })),
      { name: 'Look again now', key: 'r', run: refresh },
      { name: paused ? 'Go on' : 'Pause', key: 'p', run: pause },
      { name: 'Times: relative or absolute, local or UTC', key: 't', run: nextTimes },
      { name: 'Theme: automatic, dark or light', run: nextTheme },
      { name: 'Save or remove this view', key: 's', run: saveView },
      { name: 'This page as JSON', run: () => { const u = new URL(location.href); u.searchParams.set('format', 'json'); location.href = u; } },
      { name: 'Keys and help', key: '?', run: () => $('#help').showModal() },
      ...$$('.side, .tools').flatMap((e) => $$('a.tool', e)).map((a) => ({ name: a.textContent.trim(), run: go(a.href) })),
    ];
  }
  function showPalette() {
    const text = paletteInput.value.trim();
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    shown = commands().filter((c) => words.every((w) => c.name.toLowerCase().includes(w)));
    if (text) shown.push({ name: `Find “${text}”`, run: () => { location.href = `${prefix}/find?q=${encodeURIComponent(text)}`; } });
    chosen = Math.max(0, Math.min(chosen, shown.length - 1));
    paletteList.replaceChildren(...shown.map((c, i) => {
      const li = document.createElement('li');
      li.id = `command-${i}`;
      li.setAttribute('role', 'option');
      li.setAttribute('aria-selected', String(i === chosen));
      li.append(c.name);
      if (c.key) { const k = document.createElement('kbd'); k.textContent = c.key; li.append(k); }
      li.addEventListener('click', () => run(c));
      return li;
    }));
    paletteInput.setAttribute('aria-activedescendant', shown.length ? `command-${chosen}` : '');
    paletteList.children[chosen]?.scrollIntoView({ block: 'nearest' });
  }
  function run(command) { palette.close(); command?.run(); }
  function openPalette() {
    paletteInput.value = '';
    chosen = 0;
    palette.showModal();
    showPalette();
  }
  paletteInput.addEventListener('input', () => { chosen = 0; showPalette(); });
  paletteInput.addEventListener('keydown', (e) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (step) { chosen = (chosen + step + shown.length) % shown.length; showPalette(); e.preventDefault(); }
    if (e.key === 'Enter') { e.preventDefault(); run(shown[chosen]); }
  });

  // ---- Keys.
  let going = 0;
  function move(step) {
    const rows = $$('main a.row');
    const at = rows.indexOf(document.activeElement);
    rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.max(0, Math.min(rows.length - 1, at + step))]?.focus();
  }
  const keys = {
    '/': () => { $('#search').focus(); $('#search').select(); },
    '?': () => $('#help').showModal(),
    r: refresh, p: pause, t: nextTimes, s: saveView, j: () => move(1), k: () => move(-1),
    g: () => { going = Date.now(); document.body.classList.add('keys'); setTimeout(() => document.body.classList.remove('keys'), 1500); },
  };
  document.addEventListener('keydown', (e) => {
    if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === 'k') { e.preventDefault(); if (!palette.open) openPalette(); return; }
    const typing = e.target.closest?.('input, select, textarea, [contenteditable]');
    if (e.key === 'Escape') {
      const open = e.target.closest?.('details.action[open]') || $('details.action[open]');
      if (open) { open.open = false; $('summary', open).focus(); } else if (typing && !$('dialog[open]')) typing.blur();
      return;
    }
    if (typing || e.ctrlKey || e.metaKey || e.altKey || $('dialog[open]')) return;
    if (Date.now() - going < 1500) {
      going = 0;
      const to = $$('.side a[data-key]').find((a) => a.dataset.key === e.key);
      if (to) { e.preventDefault(); location.href = to.href; return; }
    }
    if (keys[e.key]) { e.preventDefault(); keys[e.key](); }
  });

  // ---- Buttons.
  document.addEventListener('click', async (e) => {
    const copy = e.target.closest('[data-copy]');
    if (copy) {
      try { await navigator.clipboard.writeText(copy.dataset.copy); toast('Copied'); } catch { toast('The browser does not let this page copy'); }
    }
    const why = e.target.closest('[aria-disabled="true"][data-why]');
    if (why) { e.preventDefault(); toast(why.dataset.why); }
    const close = e.target.closest('[data-close]');
    if (close) { const d = close.closest('details'); d.open = false; $('summary', d).focus(); }
    for (const open of $$('details.action[open]')) if (!open.contains(e.target)) open.open = false;
  });
  $('#live-button')?.addEventListener('click', pause);
  $('#times-button')?.addEventListener('click', nextTimes);
  $('#theme-button')?.addEventListener('click', nextTheme);
  $('#help-button')?.addEventListener('click', () => $('#help').showModal());
  // Focus goes where a form was opened: its first field.
  document.addEventListener('toggle', (e) => { if (e.target.matches?.('details.action[open]')) $('input:not([type=hidden]), textarea, select', e.target)?.focus(); }, true);
  // A preview does not depend on the reason: asked for again while one is typed, it might show, and be
  // confirmed for, a later revision than the one that was decided about.
  for (const kind of ['input', 'change']) document.addEventListener(kind, (e) => { if (e.target.name === 'reason' && e.target.closest('.action')) e.stopPropagation(); }, true);
  // A filter is applied when it is changed.
  document.addEventListener('change', (e) => { const f = e.target.closest('form[data-auto]'); f?.requestSubmit(); });
  document.addEventListener('submit', (e) => {
    // No parameters for what was left empty: the URL says what was asked for.
    if (e.target.method === 'get') for (const i of $$('input, select', e.target)) if (i.name && !i.value) i.disabled = true;
  });

  // ---- Changes: the token against forgery, and the last reasons.
  document.addEventListener('htmx:configRequest', (e) => { e.detail.headers['X-CSRF-Token'] = $('meta[name=csrf]').content; });
  let reasons = stored('reasons', []);
  function showReasons() { $('#reasons').replaceChildren(...reasons.map((r) => { const o = document.createElement('option'); o.value = r; return o; })); }
  // What was done is not offered again: the outcome takes the form's place. Opened again, the form is
  // as it was at first.
  document.addEventListener('htmx:afterRequest', (e) => {
    const form = e.target.closest?.('form');
    if (!form || e.target !== form || e.detail.xhr.status >= 400 || !$('output', form)?.contains(e.detail.target)) return;
    form.classList.add('done');
    $('[data-close]', form)?.focus();
  });
  document.addEventListener('toggle', (e) => {
    const form = e.target.matches?.('details.action:not([open])') && $('form.done', e.target);
    if (!form) return;
    form.reset();
    form.classList.remove('done');
    $('output', form).replaceChildren();
  }, true);
  document.addEventListener('htmx:afterRequest', (e) => {
    const reason = e.target.elements?.reason?.value;
    if (!reason || !e.detail.successful) return;
    reasons = [reason, ...reasons.filter((r) => r !== reason)].slice(0, 8);
    store('reasons', reasons);
    showReasons();
  });

  showTimesButton();
  showTimes();
  showViews();
  showReasons();
  showLive();
  connect();
  setInterval(() => { if (!document.hidden) { showTimes(); showLive(); } }, 1000);
})();
