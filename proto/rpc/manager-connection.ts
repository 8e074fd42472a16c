import { Channel, type ChannelCredentials } from '@grpc/grpc-js';
import { CHANNEL_OPTIONS, nodeCredentials, type TlsMaterial } from './credentials.ts';
import {
  controlService,
  diagnosisService,
  dispatcherService,
  nodeCaService,
  resourceAllocatorService,
} from './services.ts';

/** One connection to one manager, shared by the clients of its services. It connects when the first call is made. */
export class ManagerConnection {
  readonly address: string;
  readonly dispatcher: InstanceType<typeof dispatcherService.Client>;
  readonly diagnosis: InstanceType<typeof diagnosisService.Client>;
  readonly resources: InstanceType<typeof resourceAllocatorService.Client>;
  readonly control: InstanceType<typeof controlService.Client>;
  readonly nodeCa: InstanceType<typeof nodeCaService.Client>;
  /** For ConnectDeadline, where one connection is used for long. */
  readonly channel: Channel;

  /** @param address host:port. */
  constructor(address: string, material: TlsMaterial) {
    const credentials: ChannelCredentials = nodeCredentials(material);
    this.address = address;
    this.channel = new Channel(address, credentials, CHANNEL_OPTIONS);
    const options = { channelOverride: this.channel };
    this.dispatcher = new dispatcherService.Client(address, credentials, options);
    this.diagnosis = new diagnosisService.Client(address, credentials, options);
    this.resources = new resourceAllocatorService.Client(address, credentials, options);
    this.control = new controlService.Client(address, credentials, options);
    this.nodeCa = new nodeCaService.Client(address, credentials, options);
  }

  /** Calls under way fail. */
  close(): void {
    this.channel.close();
  }
}
