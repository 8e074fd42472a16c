/** Sends announcements by a link of the namespace that it is started in. Arguments: link, then `ADDRESS=MAC` for each. */
import { announcementFrame } from './announcement-frame.ts';
import { FrameSender } from './raw-socket.ts';

const [link = '', ...pairs] = process.argv.slice(2);
const sender = new FrameSender(link);
for (const pair of pairs) {
  const [address = '', mac = ''] = pair.split('=');
  sender.send(announcementFrame({ address, mac }));
}
