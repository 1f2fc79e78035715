// The plots of the overview: the last hour, read again every few seconds while the page is live.
(() => {
  'use strict';
  const every = 5000;
  const plots = new Map();
  const dark = () => getComputedStyle(document.documentElement).colorScheme.includes('dark');
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const short = (ms) => (ms == null ? '–' : ms < 1000 ? `${Math.round(ms)} ms` : ms < 60000 ? `${(ms / 1000).toFixed(1)} s` : `${(ms / 60000).toFixed(1)} min`);
  const kinds = {
    throughput: {
      columns: (s) => [s.buckets.map((b) => b.started / span(s, b)), s.buckets.map((b) => b.ended / span(s, b))],
      series: [['began', '#2f6fe4', true], ['ended', '#c2740c', false]],
      value: (v) => (v == null ? '–' : `${v < 10 ? v.toFixed(1) : Math.round(v)}/s`),
    },
    duration: {
      columns: (s) => [s.buckets.map((b) => (b.ended ? b.p50Ms : null)), s.buckets.map((b) => (b.ended ? b.p99Ms : null))],
      series: [['median', '#2f6fe4', true], ['99 %', '#8a57d6', false]],
      value: short,
    },
  };
  // The newest interval is not over: its rate is that of the part that is.
  function span(s, b) { return Math.max(1, Math.min(s.intervalSeconds, Date.now() / 1000 - new Date(b.at) / 1000)); }

  // A point without neighbours has no line that shows it.
  function alone(u, i) {
    const values = u.data[i];
    return values.flatMap((v, at) => (v != null && values[at - 1] == null && values[at + 1] == null ? [at] : []));
  }

  function options(kind, width, height) {
    const axis = { stroke: colour('--dim'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line'), width: 1 }, font: '11px system-ui, sans-serif' };
    return {
      width, height, cursor: { points: { size: 6 }, drag: { x: false, y: false } }, legend: { show: false },
      scales: { x: { time: true }, y: { range: (u, min, max) => [0, Math.max(max * 1.1, kind === 'duration' ? 10 : 1)] } },
      axes: [{ ...axis, size: 30, space: 70, values: [[3600, '{HH}:{mm}'], [60, '{HH}:{mm}'], [1, '{HH}:{mm}:{ss}']].map(([s, f]) => [s, f, null, null, null, null, null, null, 1]) }, { ...axis, size: 58, values: (u, all) => all.map((v) => (v ? kinds[kind].value(v) : '0')) }],
      series: [{}, ...kinds[kind].series.map(([label, stroke, fill]) => ({ label, stroke, width: 1.5, fill: fill ? `${stroke}${dark() ? '2e' : '1c'}` : undefined, points: { show: true, size: 4, fill: stroke, filter: alone }, spanGaps: false }))],
      hooks: { setCursor: [(u) => hint(u, kind)] },
    };
  }

  function hint(u, kind) {
    const at = u.cursor.idx;
    const box = u.root.parentElement.querySelector('.hint');
    if (!box) return;
    if (at == null) { box.textContent = ''; return; }
    const parts = kinds[kind].series.map(([label], i) => `${label} ${kinds[kind].value(u.data[i + 1][at])}`);
    box.textContent = `${new Date(u.data[0][at] * 1000).toLocaleTimeString()}  ${parts.join('  ')}`;
  }

  // A line needs a point for each interval: what is missing was 0, or has not been read.
  function fill(s) {
    const last = Math.floor(Date.now() / 1000 / s.intervalSeconds) * s.intervalSeconds;
    const known = new Map(s.buckets.map((b) => [new Date(b.at) / 1000, b]));
    const oldest = s.complete ? last - 3600 + s.intervalSeconds : Math.min(...known.keys(), last - 600);
    const buckets = [];
    for (let at = oldest; at <= last; at += s.intervalSeconds) buckets.push(known.get(at) || { at: new Date(at * 1000).toISOString(), started: 0, ended: 0 });
    return { ...s, buckets };
  }

  function draw(element, s) {
    const kind = element.dataset.plot;
    const data = [s.buckets.map((b) => new Date(b.at) / 1000), ...kinds[kind].columns(s)];
    let plot = plots.get(element);
    if (!plot) {
      const box = document.createElement('p');
      box.className = 'hint';
      element.replaceChildren(box);
      plot = new uPlot(options(kind, element.clientWidth, element.clientHeight), data, element);
      plots.set(element, plot);
    } else plot.setData(data);
    const newest = s.buckets.findLast((b) => b.started);
    element.setAttribute('aria-label', newest ? `${kind} over the last hour` : `${kind}: nothing in the last hour`);
  }

  let reading = false;
  async function read() {
    const elements = [...document.querySelectorAll('[data-plot]')];
    if (!elements.length || document.hidden || reading) return;
    reading = true;
    try {
      const answer = await fetch(elements[0].dataset.from, { headers: { Accept: 'application/json' } });
      if (answer.ok) { const s = fill(await answer.json()); for (const e of elements) draw(e, s); }
    } catch { /* the bar says that there is no connection */ } finally { reading = false; }
  }
  function redraw() {
    for (const [element, plot] of plots) { plot.destroy(); plots.delete(element); }
    read();
  }
  addEventListener('resize', () => { for (const [e, p] of plots) p.setSize({ width: e.clientWidth, height: e.clientHeight }); });
  document.addEventListener('waybill:theme', redraw);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  document.addEventListener('visibilitychange', read);
  read();
  setInterval(read, every);
})();
