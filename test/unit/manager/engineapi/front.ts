import { mkdtemp, rm } from 'node:fs/promises';
import { type Agent, type IncomingHttpHeaders, request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { EngineApiServer } from '../../../../manager/engineapi/server.ts';
import { type Clock, systemClock } from '../../../../proto/runtime/clock.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { FakeBackend } from './fake-backend.ts';
import { FakeEngine } from './fake-engine.ts';

export interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  body: Buffer;
}

export interface Ask {
  body?: string | Buffer;
  headers?: Record<string, string> | string[];
  /** Keeps connections; without one, each request has its own. */
  agent?: Agent;
  /** Told of each part of the answer. */
  onData?: () => void;
}

/** The server under test between a fake engine and a fake node. */
export class Front {
  readonly backend = new FakeBackend();
  readonly engine = new FakeEngine();
  readonly folder: string;
  readonly server: EngineApiServer;

  constructor(folder: string, clock: Clock) {
    this.folder = folder;
    this.server = new EngineApiServer(
      { socketPath: this.socketPath, engineSocketPath: this.enginePath },
      { backend: this.backend, clock, log: silentLog },
    );
  }

  get socketPath(): string {
    return path.join(this.folder, 'run/docker.sock');
  }

  get enginePath(): string {
    return path.join(this.folder, 'engine.sock');
  }

  async close(): Promise<void> {
    await this.server.stop();
    await this.engine.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  ask(method: string, url: string, { body, headers, agent, onData }: Ask = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const req = request({
        socketPath: this.socketPath,
        method,
        path: url,
        headers: headers ?? {},
        agent: agent ?? false,
      });
      req.on('error', reject);
      req.on('response', (res) => {
        const chunks: Buffer[] = [];
        res.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          onData?.();
        });
        res.on('error', reject);
        res.on('end', () => {
          const whole = Buffer.concat(chunks);
          resolve({ status: res.statusCode ?? 0, headers: res.headers, text: whole.toString(), body: whole });
        });
      });
      req.end(body);
    });
  }
}

export async function openFront(clock: Clock = systemClock): Promise<Front> {
  const front = new Front(await mkdtemp(path.join(tmpdir(), 'waggle-engineapi-')), clock);
  await front.engine.listen(front.enginePath);
  await front.server.start();
  return front;
}
