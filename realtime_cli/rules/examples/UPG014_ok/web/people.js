import { presence } from "/live/client.js";

presence("x").subscribe((people) => {
  document.title = String(people.length);
});
