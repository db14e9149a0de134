// Draws dashboards one after the other in one Chromium. A line of JSON on the standard input is a job, and its answer is
// a line with the report, or with `failed`. Serves the renderer's page and a way to Prometheus on 127.0.0.1.
// It is run in the folder where the renderer was built.
import { createServer } from 'node:http';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const built = (path) => import(pathToFileURL(join(process.cwd(), path)));
const [{ chromium }, { checkStatic }] = await Promise.all([built('node_modules/playwright-core/index.mjs'), built('check.mjs')]);

const dist = join(process.cwd(), 'dist');
const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2' };
let prometheus = '';

async function answer(request, response) {
  try {
    if (request.url.startsWith('/prom/')) {
      const body = request.method === 'POST' ? Buffer.concat(await request.toArray()) : undefined;
      const headers = body ? { 'content-type': request.headers['content-type'] } : {};
      const got = await fetch(prometheus + request.url.slice(5), { method: request.method, body, headers });
      response.writeHead(got.status, { 'content-type': 'application/json' }).end(Buffer.from(await got.arrayBuffer()));
      return;
    }
    const path = normalize(decodeURIComponent(request.url.split('?')[0])).replace(/^\/$/, '/index.html');
    const content = await readFile(join(dist, path));
    const type = types[extname(path)] ?? 'application/octet-stream';
    response.writeHead(200, { 'content-type': type, 'cache-control': 'max-age=3600' }).end(content);
  } catch (error) {
    response.writeHead(error.code === 'ENOENT' ? 404 : 502, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ status: 'error', error: String(error.cause ?? error) }));
  }
}

async function draw(context, port, job) {
  prometheus = job.prometheus.replace(/\/$/, '');
  const dashboard = JSON.parse(readFileSync(job.dashboard, 'utf8'));
  const errors = [];
  const page = await context.newPage();
  page.setDefaultTimeout(job.timeoutMs);
  page.on('console', (m) => m.type() === 'error' && !m.text().startsWith('Failed to load resource') && errors.push(m.text().slice(0, 500)));
  page.on('pageerror', (error) => errors.push(String(error.stack ?? error).slice(0, 800)));
  try {
    await page.setViewportSize({ width: job.width, height: 1000 });
    await page.goto(`http://127.0.0.1:${port}/#${job.theme}`);
    await page.waitForFunction(() => window.renderDashboard);
    const { vars, from, to, scrapeInterval, timeoutMs } = job;
    const options = { vars, from, to, keepCollapsed: false, scrapeInterval, timeoutMs };
    const found = await page.evaluate(([d, o]) => {
      // A variable's value for all holds itself: what is within itself is left out.
      const plain = (value, above = []) => {
        if (typeof value !== 'object' || value === null) return value;
        if (above.includes(value)) return undefined;
        const inner = [...above, value];
        if (Array.isArray(value)) return value.map((each) => plain(each, inner));
        return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each, inner)]));
      };
      return window.renderDashboard(d, o).then((report) => plain(report));
    }, [dashboard, options]);
    if (job.out) {
      // Panels are drawn where they are in view: all of the page is.
      const height = await page.evaluate(() => document.documentElement.scrollHeight);
      await page.setViewportSize({ width: job.width, height });
      await page.waitForTimeout(job.settleMs);
      await page.screenshot({ path: job.out, fullPage: true });
    }
    return { ...found, checks: checkStatic(dashboard, { types: false }), consoleErrors: [...new Set(errors)] };
  } catch (error) {
    return { failed: [...errors, String(error)].join('\n') };
  } finally {
    await page.close();
  }
}

const server = createServer(answer);
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const profile = mkdtempSync(join(tmpdir(), 'grafana-render-'));
const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const context = await chromium.launchPersistentContext(profile, { executablePath: process.argv[2], headless: true, timezoneId: process.env.TZ || 'UTC', colorScheme: 'dark', args });
try {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await draw(context, server.address().port, JSON.parse(line)))}\n`);
  }
} finally {
  await context.close();
  server.close();
  rmSync(profile, { recursive: true, force: true });
}
