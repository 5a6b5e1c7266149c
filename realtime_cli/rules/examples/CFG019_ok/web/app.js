console.log("hello, everybody");
