import type { Clock } from '../../proto/runtime/clock.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Backend } from './backend.ts';
import type { EngineClient } from './engine-client.ts';
import type { EventLog } from './event-log.ts';
import type { OpenExchanges } from './open-exchanges.ts';
import type { EngineProxy } from './proxy.ts';
import type { SwarmNetworks } from './swarm-networks.ts';

/** What routes are made from. */
export interface RouteModules {
  backend: Backend;
  engine: EngineClient;
  proxy: EngineProxy;
  networks: SwarmNetworks;
  events: EventLog;
  exchanges: OpenExchanges;
  clock: Clock;
  log: Log;
}
