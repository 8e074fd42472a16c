export interface DaemonFlags {
  host: string;
  dockerHost: string;
  dataDir: string;
  execRoot: string;
  pluginDir: string;
  logLevel: string;
}
export function runDaemon(_flags: DaemonFlags): Promise<void> {
  return Promise.resolve();
}
